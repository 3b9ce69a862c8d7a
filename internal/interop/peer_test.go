// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"
)

const (
	python     = "/usr/bin/python3" // the one that owns Debian's packages
	pythonLine = "apt-get update && apt-get install -y --no-install-recommends python3 python3-cryptography"
	nodeLine   = "apt-get update && apt-get install -y --no-install-recommends nodejs npm"
	npmLine    = "npm ci --prefix internal/interop/node" // fills npm's cache
)

// peer is another implementation of Fernet, at the other end of a pipe.
type peer struct {
	in       io.WriteCloser
	out      *bufio.Reader
	complain func(t *testing.T, err error)
}

type request struct {
	Op    string   `json:"op"`
	Keys  []string `json:"keys"`
	Token string   `json:"token,omitempty"`
	Data  []byte   `json:"data"`
	Time  int64    `json:"time,omitempty"`
}

type reply struct {
	Token string `json:"token"`
	Data  []byte `json:"data"`
	Error string `json:"error"`
}

func skipOnRequest(t *testing.T) {
	t.Helper()
	if os.Getenv("SKIP_INTEROP") == "1" {
		t.Skip("SKIP_INTEROP=1: not compared with other implementations")
	}
}

func startPython(t *testing.T) *peer {
	t.Helper()
	skipOnRequest(t)
	return start(t, pythonLine, exec.Command(python, "peer.py"))
}

// startNode installs npm's fernet into a temporary folder; npm's cache answers
// from the second time on.
func startNode(t *testing.T) *peer {
	t.Helper()
	skipOnRequest(t)
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v; type: %s", err, nodeLine)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc", "peer.js"} {
		content, err := os.ReadFile("node/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	npm := exec.Command("npm", "ci", "--prefer-offline")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v; see what this says: %s\n%s", err, npmLine, out)
	}
	node := exec.Command("node", "peer.js")
	node.Dir = dir
	return start(t, nodeLine, node)
}

// start runs a peer until the test ends; line is what to type if it cannot run.
func start(t *testing.T, line string, cmd *exec.Cmd) *peer {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; type: %s", err, line)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return &peer{in: in, out: bufio.NewReader(out), complain: func(t *testing.T, err error) {
		t.Helper()
		_ = cmd.Wait() // for the rest of stderr
		t.Fatalf("%s ended: %v; perhaps type: %s\n%s", cmd.Args, err, line, &stderr)
	}}
}

func (p *peer) ask(t *testing.T, r request) reply {
	t.Helper()
	line, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		p.complain(t, err)
	}
	line, err = p.out.ReadBytes('\n')
	if err != nil {
		p.complain(t, err)
	}
	var answer reply
	if err := json.Unmarshal(line, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}
