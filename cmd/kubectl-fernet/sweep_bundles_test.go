// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// The sites of the sweeps with a bundle.

// bundledSite has pushed its entries as a bundle.
func bundledSite(t *testing.T) *site {
	t.Helper()
	s := emptySite(t)
	s.place = s.bundled()
	s.must("push")
	s.addOthers()
	return s
}

// toBundleSite has pushed single Secrets, and wants a bundle.
func toBundleSite(t *testing.T) *site {
	t.Helper()
	return toBundle(emptySite(t))
}

func toBundle(s *site) *site {
	s.t.Helper()
	s.must("push")
	s.addOthers()
	s.place = s.bundled()
	return s
}

// toSinglesSite has pushed a bundle, and wants single Secrets.
func toSinglesSite(t *testing.T) *site {
	t.Helper()
	s := bundledSite(t)
	env := filepath.Join(s.dir, ".env")
	write(t, env, strings.Replace(string(read(t, env)), "FERNET_BUNDLE="+bundleBase+"\n", "", 1))
	s.bundle = false
	return s
}

// changedBundleSite has another value for an entry of its bundle, an entry more and one
// less.
func changedBundleSite(t *testing.T) *site {
	t.Helper()
	s := bundledSite(t)
	env := filepath.Join(s.dir, ".env")
	was := s.values["SECRET_01"]
	gone := "SECRET_04=" + s.values["SECRET_04"] + "\n"
	s.former, s.missing, s.dropped = map[string]string{"SECRET_01": was}, true, []string{"SECRET_04"}
	s.values = maps.Clone(s.values)
	delete(s.values, "SECRET_04")
	s.values["SECRET_01"], s.values["SECRET_05"] = was+"-changed", "canary-of-a-new-one"
	write(t, env, strings.NewReplacer(was, s.values["SECRET_01"], gone, "").Replace(string(read(t, env)))+"SECRET_05="+s.values["SECRET_05"]+"\n")
	return s
}

// replacedSite has a bundle beside the two single Secrets that it replaces, each in two
// generations.
func replacedSite(t *testing.T) *site {
	t.Helper()
	s := toBundle(&site{place: newPlace(t, 2), holder: ".env", seen: map[string]string{}})
	s.must("push")
	s.must("rotate", "--yes")
	return s
}

// deletedBundleSite has lost both generations of a bundle.
func deletedBundleSite(t *testing.T) *site {
	t.Helper()
	s := bundledSite(t)
	s.must("rotate", "--yes")
	s.holds() // and remembers the bytes of both
	s.missing = true
	secrets := corev1client.NewForConfigOrDie(testkube.RESTConfig(t)).Secrets(s.namespace)
	for name := range s.seen {
		if err := secrets.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// foundBundleSite has a Secret that was made by hand, with tokens of all entries.
func foundBundleSite(t *testing.T) *site {
	t.Helper()
	s := emptySite(t)
	s.place = s.bundled()
	s.addOthers()
	s.unrecorded = bundleBase + "-g1"
	plain := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: s.unrecorded}, Data: map[string][]byte{}}
	for entry, value := range s.values {
		plain.Data[entry] = []byte(sealedRow(t, testKey, s.namespace, entry, value).Token)
	}
	s.create(plain)
	return s
}

// oneKey asserts that one key opens all tokens of a Secret.
func (s *site) oneKey(live corev1.Secret) {
	s.t.Helper()
	k := s.keys()
	for _, key := range append([]string{k.primary, k.next}, k.previous...) {
		alone, err := decrypt.ParseKeys(key)
		opened := 0
		for _, data := range live.Data {
			if err == nil {
				if _, err := alone.Open(data); err == nil {
					opened++
				}
			}
		}
		if opened > 0 && opened < len(live.Data) {
			s.t.Errorf("Secret %s has tokens of two keys: %d of %d are of one", live.Name, opened, len(live.Data))
		}
	}
}

// want asserts which Secrets there are of ours.
func (s *site) want(names ...string) map[string]corev1.Secret {
	s.t.Helper()
	ours := s.ours()
	slices.Sort(names)
	if got := slices.Sorted(maps.Keys(ours)); !slices.Equal(got, names) {
		s.t.Errorf("there are %q, want %q", got, names)
	}
	return ours
}

var singles = []string{"secret-00", "secret-01", "secret-02", "secret-03", "secret-04"}

// hasAll asserts that a bundle has each entry with its value, and no other, under KEY.
func (s *site) hasAll(bundle corev1.Secret) {
	s.t.Helper()
	alone, err := decrypt.ParseKeys(s.keys().primary)
	if err != nil {
		s.t.Fatal(err)
	}
	values := map[string]string{}
	for entry, data := range bundle.Data {
		plain, err := alone.Open(data)
		if err != nil {
			s.t.Errorf("Secret %s: %s: %v", bundle.Name, entry, err)
		}
		values[entry] = string(plain)
	}
	if !reflect.DeepEqual(values, s.values) {
		s.t.Errorf("Secret %s has %d entries, and not those of the .env, %d", bundle.Name, len(values), len(s.values))
	}
}

// checkBundled asserts a bundle of the tokens that the single Secrets have.
func (s *site) checkBundled() {
	s.t.Helper()
	ours := s.want(append([]string{"web-g1"}, singles...)...)
	s.hasAll(ours["web-g1"])
	s.sameTokens(ours)
}

// checkSingled asserts single Secrets of the tokens that the bundle has.
func (s *site) checkSingled() {
	s.t.Helper()
	s.sameTokens(s.want(append([]string{"web-g1"}, singles...)...))
}

func (s *site) sameTokens(ours map[string]corev1.Secret) {
	s.t.Helper()
	for entry, data := range ours["web-g1"].Data {
		single := ours[strings.ToLower(strings.ReplaceAll(entry, "_", "-"))]
		if string(single.Data[entry]) != string(data) {
			s.t.Errorf("%s has another token by itself than in the bundle", entry)
		}
	}
}

// checkBundleUpdated asserts one more generation with the entries of now, in which what did
// not change has its token still.
func (s *site) checkBundleUpdated() {
	s.t.Helper()
	ours := s.want("web-g1", "web-g2")
	s.hasAll(ours["web-g2"])
	for _, entry := range []string{"SECRET_00", "SECRET_02", "SECRET_03"} {
		if string(ours["web-g1"].Data[entry]) != string(ours["web-g2"].Data[entry]) {
			s.t.Errorf("%s has another token, and its value did not change", entry)
		}
	}
}

// checkBundleRotated asserts one rotation: the same values and times under a new key.
func (s *site) checkBundleRotated() {
	s.t.Helper()
	if k := s.keys(); k.primary == testKey || k.next != "" || !slices.Equal(k.previous, []string{testKey}) {
		s.t.Error("KEY is not new, or KEY_PREVIOUS is not the one before it alone")
	}
	ours := s.want("web-g1", "web-g2")
	s.hasAll(ours["web-g2"])
	for entry, data := range ours["web-g2"].Data {
		was, errWas := token.Parse(string(ours["web-g1"].Data[entry]))
		is, errIs := token.Parse(string(data))
		if errWas != nil || errIs != nil || !was.Time.Equal(is.Time) {
			s.t.Errorf("%s has another time: %v, %v", entry, errWas, errIs)
		}
	}
}

// checkReplacedRetired asserts that the newest bundle alone is left, under a key that is
// alone.
func (s *site) checkReplacedRetired() {
	s.t.Helper()
	if k := s.keys(); k.previous != nil || k.next != "" {
		s.t.Error("an older key is still held")
	}
	s.hasAll(s.want("web-g2")["web-g2"])
}

// checkBundleRestored asserts that both generations are there again; with which bytes,
// holds has asserted.
func (s *site) checkBundleRestored() {
	s.t.Helper()
	s.hasAll(s.want("web-g1", "web-g2")["web-g2"])
}

// checkBundleAdopted asserts that the Secret that was found has the metadata of its row.
func (s *site) checkBundleAdopted() {
	s.t.Helper()
	live := s.want("web-g1")["web-g1"]
	s.hasAll(live)
	for _, r := range s.records() {
		want := manifest.Secret(ledger.Row{Namespace: s.namespace, Secret: r.Secret, Generation: r.Generation, KeyID: r.KeyID, Token: r.Token, Binding: r.Binding})
		if !reflect.DeepEqual(live.Labels, want.Labels) || !reflect.DeepEqual(live.Annotations, want.Annotations) || live.Immutable != nil {
			s.t.Errorf("Secret %s has the metadata %v %v, want %v %v", live.Name, live.Labels, live.Annotations, want.Labels, want.Annotations)
		}
	}
}
