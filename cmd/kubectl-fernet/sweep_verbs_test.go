// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// The sites of the sweeps of push, restore, adopt and pull.

// unpushedSite has an .env alone: no ledger, and no Secret but those of others.
func unpushedSite(t *testing.T) *site {
	t.Helper()
	s := emptySite(t)
	s.addOthers()
	s.missing = true
	return s
}

// checkPushed asserts that each entry was pushed once; with which bytes, settled has asserted.
func (s *site) checkPushed() {
	s.t.Helper()
	s.want(singles...)
}

// changedSite has new values for two of the entries that were pushed.
func changedSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.former = map[string]string{"SECRET_01": s.values["SECRET_01"], "SECRET_03": s.values["SECRET_03"]}
	s.values = maps.Clone(s.values)
	env := filepath.Join(s.dir, ".env")
	text := string(read(t, env))
	for entry, was := range s.former {
		s.values[entry] = was + "-changed"
		text = strings.Replace(text, was, s.values[entry], 1)
	}
	write(t, env, text)
	return s
}

// checkUpdated asserts one more generation of what was changed, and of nothing else.
func (s *site) checkUpdated() {
	s.t.Helper()
	ours := s.ours()
	for _, name := range []string{"secret-01-g2", "secret-03-g2"} {
		if _, ok := ours[name]; !ok {
			s.t.Errorf("Secret %s is not there", name)
		}
	}
	if len(ours) != len(s.values)+2 {
		s.t.Errorf("%d Secrets of ours, where two of %d entries were updated", len(ours), len(s.values))
	}
	s.untouched()
}

// deletedSite has lost four of the Secrets of a rotation, of both generations.
func deletedSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.must("rotate", "--yes")
	s.holds() // and remembers the bytes of all
	s.missing, s.former = true, s.values
	secrets := corev1client.NewForConfigOrDie(testkube.RESTConfig(t)).Secrets(s.namespace)
	for _, name := range []string{"secret-00", "secret-00-g2", "secret-02-g2", "secret-04"} {
		if err := secrets.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// checkRestored asserts that all that was ever seen is there again; with which
// bytes, holds has asserted.
func (s *site) checkRestored() {
	s.t.Helper()
	ours := s.ours()
	for name := range s.seen {
		if live, ok := ours[name]; !ok || live.Immutable == nil || !*live.Immutable {
			s.t.Errorf("Secret %s was not restored: there=%t", name, ok)
		}
	}
	if len(s.seen) != 2*len(s.values) || len(ours) != len(s.seen) {
		s.t.Errorf("%d Secrets of ours, of %d", len(ours), len(s.seen))
	}
	s.untouched()
}

// found is the Secret that somebody wrote by hand.
const found = "secret-00"

// checkWired asserts one patch of each of two workloads, which have each Secret as
// variables now and all that they had before.
func (s *site) checkWired() {
	s.t.Helper()
	for i, is := range s.deployed() {
		was, name := s.workloads[i], is.Metadata.Name
		if name != "mounts" && name != "reads" {
			if string(is.Spec) != string(was.Spec) {
				s.t.Errorf("workload %s was changed", name)
			}
			continue
		}
		if is.Metadata.Generation != was.Metadata.Generation+1 {
			s.t.Errorf("workload %s was not patched once: generation %d", name, is.Metadata.Generation)
		}
		lines := envFromLine.FindAllStringSubmatch(string(is.Spec), -1)
		want := len(s.values)
		if name == "reads" { // which has one of them already
			want--
		}
		seen := map[string]bool{}
		for _, line := range lines {
			seen[line[1]] = true
		}
		if len(lines) != want || len(seen) != want {
			s.t.Errorf("workload %s names %d Secrets in %d lines, want %d: %s", name, len(seen), len(lines), want, is.Spec)
		}
		rest := envFromList.ReplaceAllString(string(is.Spec), "")
		if rest != string(was.Spec) {
			s.t.Errorf("workload %s has lost something:\n%s\n%s", name, was.Spec, is.Spec)
		}
	}
}

var (
	envFromLine = regexp.MustCompile(`\{"secretRef":\{"name":"([^"]+)"\}\}`)
	envFromList = regexp.MustCompile(`"envFrom":\[[^\]]*\],`)
)

// foundSite has pushed all entries but one, whose Secret was made by hand, with a
// token of the key.
func foundSite(t *testing.T) *site {
	t.Helper()
	s := emptySite(t)
	env := filepath.Join(s.dir, ".env")
	text := string(read(t, env))
	line := "SECRET_00=" + s.values["SECRET_00"] + "\n"
	write(t, env, strings.Replace(text, line, "", 1))
	s.furnish()
	write(t, env, text)
	ours := sealedRow(t, testKey, s.namespace, "SECRET_00", s.values["SECRET_00"])
	plain := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: found}, Data: map[string][]byte{"SECRET_00": []byte(ours.Token)}}
	s.create(plain)
	s.unrecorded = found
	return s
}

// sealedRow gives the planned row of an entry's first generation, under a key.
func sealedRow(t *testing.T, key, namespace, entry, value string) ledger.Row {
	t.Helper()
	ring, err := keyring.Find(keyring.FromEnvironment(key, ""))
	if err != nil {
		t.Fatal(err)
	}
	base, err := names.Base(entry)
	if err != nil {
		t.Fatal(err)
	}
	e := envfile.Entry{Name: entry, Value: envfile.NewValue(value)}
	row, err := seal.New(ring, []envfile.Entry{e}).Seal(ledger.Row{Namespace: namespace, Secret: base, Generation: 1, EnvKey: entry})
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// create makes a Secret, past the plugin.
func (p place) create(secret *corev1.Secret) {
	p.t.Helper()
	secrets := corev1client.NewForConfigOrDie(testkube.RESTConfig(p.t)).Secrets(p.namespace)
	if _, err := secrets.Create(p.t.Context(), secret, metav1.CreateOptions{}); err != nil {
		p.t.Fatal(err)
	}
}

// checkAdopted asserts that the Secret that was found has the metadata of its row,
// the bytes that it had, and one row that says created.
func (s *site) checkAdopted() {
	s.t.Helper()
	live := s.ours()[found]
	for at, r := range s.records() {
		if at[0] != found {
			continue
		}
		want := manifest.Secret(ledger.Row{
			Namespace: s.namespace, Secret: r.Secret, Generation: r.Generation, EnvKey: r.EnvKey, KeyID: r.KeyID, Token: r.Token, Binding: r.Binding,
		})
		if !reflect.DeepEqual(live.Labels, want.Labels) || !reflect.DeepEqual(live.Annotations, want.Annotations) || live.Immutable != nil {
			s.t.Errorf("Secret %s has the metadata %v %v, want %v %v", found, live.Labels, live.Annotations, want.Labels, want.Annotations)
		}
	}
	if n := len(s.ours()); n != len(s.values) {
		s.t.Errorf("%d Secrets of ours for %d entries", n, len(s.values))
	}
	s.untouched()
}

// behindSite has an .env that lacks two entries, has another value for a third, and
// has lines of its own.
func behindSite(t *testing.T) *site {
	t.Helper()
	s := keyFileSite(t)
	env := filepath.Join(s.dir, ".env")
	var lines []string
	for line := range strings.Lines(string(read(t, env))) {
		name, _, _ := strings.Cut(line, "=")
		switch name {
		case "SECRET_01", "SECRET_04":
			continue
		case "SECRET_02":
			line = "SECRET_02=another # of somebody's\n"
		}
		lines = append(lines, line)
	}
	write(t, env, "# ours\nPLAIN=1\n\n"+strings.Join(lines, ""))
	s.file = pulledWholeOrNot(read(t, env))
	return s
}

// emptyHandedSite has the ledger and the key, as after a clone, and no .env.
func emptyHandedSite(t *testing.T) *site {
	t.Helper()
	s := keyFileSite(t)
	if err := os.Remove(filepath.Join(s.dir, ".env")); err != nil {
		t.Fatal(err)
	}
	s.file = pulledWholeOrNot(nil)
	return s
}

// pulledWholeOrNot asserts that an .env has its old bytes still, or all values
// already: nothing in between, and its owner alone may read those.
func pulledWholeOrNot(old []byte) func(*site) {
	return func(s *site) {
		s.t.Helper()
		env := filepath.Join(s.dir, ".env")
		now, err := os.ReadFile(env)
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			s.t.Fatal(err)
		case err != nil && old == nil, err == nil && old != nil && string(now) == string(old):
		default:
			s.checkPulled()
		}
	}
}

// checkPulled asserts that the .env holds each value once, and what was its own, in
// its old place.
func (s *site) checkPulled() {
	s.t.Helper()
	env := filepath.Join(s.dir, ".env")
	file, raw, err := envfile.ReadFile(env)
	if err != nil {
		s.t.Error(err)
		return
	}
	values := map[string]string{}
	for _, e := range file.Entries {
		if strings.HasPrefix(e.Name, "SECRET_") {
			values[e.Name] = e.Value.Reveal()
		}
	}
	own := strings.HasPrefix(string(raw), "# ours\nPLAIN=1\n\nSECRET_00=") || strings.HasPrefix(string(raw), "KEY="+testKey+"\nCLUSTER_NAME=localkube\nFERNET_NAMESPACE="+s.namespace+"\nSECRET_00=")
	if !reflect.DeepEqual(values, s.values) || !own || strings.Count(string(raw), "SECRET_") != len(s.values) || strings.Count(string(raw), "CLUSTER_NAME=localkube\n") != 1 {
		s.t.Errorf("the .env has %d of %d values, and begins as it should: %t", len(values), len(s.values), own)
	}
	if info, err := os.Stat(env); err != nil || info.Mode().Perm() != 0o600 {
		s.t.Errorf("%v, %v", info.Mode(), err)
	}
}
