// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
)

// firstLine marks the kubeconfigs that may be replaced.
const firstLine = "# written by localkube; good until that control plane stops\n"

// form is a kubeconfig of one context; Go's quoted strings are YAML's double-quoted ones.
const form = firstLine + `apiVersion: v1
kind: Config
current-context: %[1]q
contexts:
- name: %[1]q
  context:
    cluster: localkube
    user: %[2]q
clusters:
- name: localkube
  cluster:
    server: %[3]q
    certificate-authority-data: %[4]s
users:
- name: %[2]q
  user:
    client-certificate-data: %[5]s
    client-key-data: %[6]s
`

// replaceable refuses a kubeconfig path that holds anything but nothing or a kubeconfig of ours: the contexts in the file of
// a person who mistyped a path are hard to get back.
func replaceable(path string) error {
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("kubeconfig: %w", err)
	case len(content) > 0 && !bytes.HasPrefix(content, []byte(firstLine)):
		return fmt.Errorf("kubeconfig %s was not written by localkube; name another file", path)
	}
	return nil
}

// writeKubeconfig makes the kubeconfig of a user, whole or not at all. The context has the user's name; the administrator's
// is called localkube.
func (p *plane) writeKubeconfig(path, user string, groups ...string) error {
	issued, err := p.authority.client(user, groups...)
	if err != nil {
		return err
	}
	ca, err := p.authority.pair()
	if err != nil {
		return err
	}
	context := user
	if user == admin {
		context = "localkube"
	}
	b64 := base64.StdEncoding.EncodeToString
	content := fmt.Sprintf(form, context, user, p.url, b64(ca.cert), b64(issued.cert), b64(issued.key))
	if err := os.WriteFile(path+".tmp", []byte(content), 0o600); err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	return os.Rename(path+".tmp", path)
}
