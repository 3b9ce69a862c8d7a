// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/fernet/fernet-go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func newKey(t *testing.T) *fernet.Key {
	t.Helper()
	var key fernet.Key
	if err := key.Generate(); err != nil {
		t.Fatal(err)
	}
	return &key
}

func sealed(t *testing.T, value string, key *fernet.Key) map[string][]byte {
	t.Helper()
	token, err := fernet.EncryptAndSign([]byte(value), key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"SECRET": token}
}

func keyring(primary, previous *fernet.Key) map[string][]byte {
	return map[string][]byte{keyName: []byte(primary.Encode()), previousName: []byte(previous.Encode())}
}

func variable(name, secret, key string) corev1.EnvVar {
	ref := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: key}
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: ref}}
}

// pod reads the keyring from one Secret, and a token from another in every way
// there is.
func pod(ring, token string) corev1.Pod {
	source := corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: token}}}
	from := corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: token}}}
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: ring + "-" + token, UID: types.UID(ring + token),
			Labels: map[string]string{"app": "web", "pod-template-hash": ring},
		},
		Spec: corev1.PodSpec{
			Volumes: []corev1.Volume{
				{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: token}}},
				{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{source}}}},
			},
			Containers: []corev1.Container{{
				EnvFrom: []corev1.EnvFromSource{from},
				Env: []corev1.EnvVar{
					variable(keyName, ring, keyName), variable(previousName, ring, previousName), variable("TOKEN", token, "SECRET"),
				},
			}},
		},
	}
}

func TestJudge(t *testing.T) {
	before, after, lost := newKey(t), newKey(t), newKey(t)
	from := secrets{
		"keys": keyring(before, after), "keys-g2": keyring(after, before), "keys-g3": {keyName: []byte(after.Encode())},
		"no-keys": {"OTHER": []byte("x")}, "bad-keys": {keyName: []byte("x")},
		"secret": sealed(t, "value", before), "secret-g2": sealed(t, "value", after),
		"secret-g3": sealed(t, "another", after), "lost": sealed(t, "value", lost), "empty": {},
	}
	for _, tt := range []struct{ ring, token, want string }{
		{"keys", "secret", ""},
		{"keys", "secret-g2", ""},
		{"keys-g2", "secret", ""},
		{"keys-g3", "secret-g2", ""},
		{"keys-g3", "secret", "SECRET: "},
		{"keys", "lost", "SECRET: "},
		{"keys", "secret-g3", " opens to another value than before"},
		{"keys", "secret-g4", "secret secret-g4 is not there"},
		{"keys-g4", "secret", "secret keys-g4 is not there"},
		{"no-keys", "secret", "FERNET_KEY"},
		{"bad-keys", "secret", "FERNET_KEY"},
		{"keys", "empty", "TOKEN: "},
	} {
		r := newReader(nil, nil)
		first, second := pod("keys", "secret"), pod(tt.ring, tt.token)
		if bad := r.judge(readyPods{first.UID: first}, from); len(bad) > 0 {
			t.Fatal(bad)
		}
		err := r.judge(readyPods{second.UID: second}, from)[second.UID]
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s with %s: %v, want %q", tt.token, tt.ring, err, tt.want)
		}
	}
}

func TestFindLooksEverywhere(t *testing.T) {
	p := pod("keys", "secret")
	found, err := find(&p.Spec, secrets{"keys": keyring(newKey(t), newKey(t)), "secret": sealed(t, "value", newKey(t))})
	if err != nil || len(found) != 6 {
		t.Errorf("%d found (%v), want 2 keys and 4 tokens", len(found), err)
	}
}

func TestJudgeWantsTokens(t *testing.T) {
	p := pod("keys", "none")
	p.Spec.Volumes, p.Spec.Containers[0].EnvFrom, p.Spec.Containers[0].Env = nil, nil, p.Spec.Containers[0].Env[:2]
	from := secrets{"keys": keyring(newKey(t), newKey(t))}
	if bad := newReader(nil, nil).judge(readyPods{p.UID: p}, from); len(bad) != 1 {
		t.Error("a pod that reads no token passes")
	}
}

func TestVerdict(t *testing.T) {
	before, after := pod("before", "x"), pod("after", "x")
	one := readyPods{before.UID: before}
	both := readyPods{before.UID: before, after.UID: after}
	for _, tt := range []struct {
		name   string
		both   int
		bad    map[types.UID]error
		passes bool
	}{
		{"no rollout", 0, nil, false},
		{"too few samples", enough - 1, nil, false},
		{"enough", enough, nil, true},
		{"one that does not open", enough, map[types.UID]error{"x": errors.New("closed")}, false},
	} {
		r := newReader(nil, nil)
		r.count(readyPods{}, nil) // tells nothing
		r.count(one, nil)
		for range tt.both {
			r.count(both, nil)
		}
		r.count(one, tt.bad)
		if err := r.verdict(); (err == nil) != tt.passes || r.samples != tt.both+2 {
			t.Errorf("%s: %v after %d samples", tt.name, err, r.samples)
		}
	}
}
