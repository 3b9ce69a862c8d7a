// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

// The variables of a keyring.
const (
	keyName      = "FERNET_KEY"
	previousName = "FERNET_KEY_PREVIOUS"
)

// secrets are those of a namespace: their data by name.
type secrets map[string]map[string][]byte

// given is a variable or a file that a pod gets from a Secret.
type given struct{ name, text string }

// open does what a pod's program does: it gives what the tokens open to, by name.
func open(spec *corev1.PodSpec, from secrets) (map[string]string, error) {
	found, err := find(spec, from)
	if err != nil {
		return nil, err
	}
	var environ []string
	var tokens []given
	for _, g := range found {
		if g.name == keyName || g.name == previousName {
			environ = append(environ, g.name+"="+g.text)
		} else {
			tokens = append(tokens, g)
		}
	}
	keys, err := decrypt.KeysFromEnviron(environ)
	if err != nil {
		return nil, err
	}
	if len(tokens) == 0 {
		return nil, errors.New("it names no token")
	}
	opened := map[string]string{}
	for _, t := range tokens {
		plain, err := keys.Open([]byte(t.text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		opened[t.name] = string(plain)
	}
	return opened, nil
}

// find gives all that a pod gets from Secrets.
func find(spec *corev1.PodSpec, from secrets) ([]given, error) {
	f := finder{from: from}
	for _, v := range spec.Volumes {
		if v.Secret != nil {
			f.all(v.Secret.SecretName)
		}
		if v.Projected != nil {
			for _, source := range v.Projected.Sources {
				if source.Secret != nil {
					f.all(source.Secret.Name)
				}
			}
		}
	}
	for _, c := range spec.Containers {
		for _, source := range c.EnvFrom {
			if source.SecretRef != nil {
				f.all(source.SecretRef.Name)
			}
		}
		for _, env := range c.Env {
			if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil {
				ref := env.ValueFrom.SecretKeyRef
				f.found = append(f.found, given{env.Name, string(f.secret(ref.Name)[ref.Key])})
			}
		}
	}
	return f.found, f.missing
}

type finder struct {
	from    secrets
	found   []given
	missing error
}

func (f *finder) secret(name string) map[string][]byte {
	if f.from[name] == nil {
		f.missing = fmt.Errorf("secret %s is not there", name)
	}
	return f.from[name]
}

func (f *finder) all(name string) {
	for key, data := range f.secret(name) {
		f.found = append(f.found, given{key, string(data)})
	}
}
