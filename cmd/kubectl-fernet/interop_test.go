// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// openInPython prints the values of {name: token} with the key in FERNET_KEY.
const openInPython = `
import json, os, sys
from cryptography.fernet import Fernet
key = Fernet(os.environ["FERNET_KEY"])
print(json.dumps({name: key.decrypt(token.encode()).decode() for name, token in json.load(sys.stdin).items()}))
`

// What push wrote to the cluster, Python's cryptography opens.
func TestPythonOpensWhatIsInTheCluster(t *testing.T) {
	if os.Getenv("SKIP_INTEROP") == "1" {
		t.Skip("SKIP_INTEROP=1")
	}
	p := newPlace(t, 25)
	if out, err := p.push(testkube.Kubeconfig(t)).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	tokens := map[string]string{}
	for _, s := range p.secrets() {
		for name, token := range s.Data {
			tokens[name] = string(token)
		}
	}
	in, err := json.Marshal(tokens)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/usr/bin/python3", "-c", openInPython)
	cmd.Env = append(os.Environ(), "FERNET_KEY="+testKey)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\napt-get install -y python3-cryptography", err, out)
	}
	var opened map[string]string
	if err := json.Unmarshal(out, &opened); err != nil {
		t.Fatal(err)
	}
	if len(opened) != len(p.values) {
		t.Errorf("%d of %d entries", len(opened), len(p.values))
	}
	for name, value := range p.values {
		if opened[name] != value {
			t.Errorf("%s opens to another value", name)
		}
	}
}
