// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/finding"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// A namespace that may not be looked at ends no verb that can do the rest, and is named;
// it ends those that would write a part only, and all where it is the only one.
func TestForbiddenNamespace(t *testing.T) {
	for name, tc := range map[string]struct {
		needs  Needs
		run    func(ctx context.Context, s *Session) error
		inPart bool
	}{
		"status":  {Status{}.Needs(), func(ctx context.Context, s *Session) error { _, err := Status{}.Run(ctx, s); return err }, true},
		"verify":  {Verify{}.Needs(), func(ctx context.Context, s *Session) error { _, err := Verify{}.Run(ctx, s); return err }, true},
		"rollout": {Rollout{}.Needs(), func(ctx context.Context, s *Session) error { _, err := Rollout{}.Plan(ctx, s); return err }, true},
		"retire":  {Retire{}.Needs(), func(ctx context.Context, s *Session) error { _, err := Retire{}.Plan(ctx, s); return err }, true},
		"rotate":  {Rotate{}.Needs(), func(ctx context.Context, s *Session) error { _, err := Rotate{}.Plan(ctx, s); return err }, false},
		"push":    {Push{}.Needs(), func(ctx context.Context, s *Session) error { _, err := Push{}.Plan(ctx, s); return err }, false},
	} {
		d := newDesk(t, threeEntries, "a", "b")
		d.must((*desk).push)
		d.cluster.forbid = "b"
		for _, namespaces := range [][]string{{"a", "b"}, {"b"}} {
			d.request.Target.Namespaces = namespaces
			s, err := d.open(tc.needs)
			if err != nil {
				t.Fatal(err)
			}
			err = tc.run(t.Context(), s)
			s.Close()
			if whole := tc.inPart && len(namespaces) == 2; (err == nil) != whole || forbidden(err) == whole || whole != slices.ContainsFunc(s.Unseen, func(u Unseen) bool { return u.Namespace == "b" }) {
				t.Errorf("%s in %v: %v, unseen %v", name, namespaces, err, s.Unseen)
			}
		}
	}
}

// What verify could not look at is among its findings.
func TestVerifyNamesWhatItDidNotSee(t *testing.T) {
	d := newDesk(t, threeEntries, "a", "b")
	d.must((*desk).push)
	d.cluster.forbid = "b"
	s, err := d.open(Verify{}.Needs())
	if err != nil {
		t.Fatal(err)
	}
	r, err := Verify{}.Run(t.Context(), s)
	if err != nil || !slices.ContainsFunc(r.Found, func(f plan.Finding) bool { return f.Code == finding.Unseen && f.Namespace == "b" }) {
		t.Errorf("%v, %+v", err, r)
	}
}

// A key that is staged for long is no news any more; the .env tells no time, and was not
// changed since.
func TestKeyThatIsStagedForLong(t *testing.T) {
	for _, tc := range []struct {
		env  string
		age  time.Duration
		warn bool
	}{
		{"KEY_NEXT=" + keyBefore + "\n", 8 * 24 * time.Hour, true},
		{"KEY_NEXT=" + keyBefore + "\n", 6 * 24 * time.Hour, false},
		{"KEY_NEXT=\n", 8 * 24 * time.Hour, false},
		{"", 8 * 24 * time.Hour, false},
	} {
		d := newDesk(t, threeEntries+tc.env, "a")
		changed := time.Now().Add(-tc.age)
		if err := os.Chtimes(DefaultEnv, changed, changed); err != nil {
			t.Fatal(err)
		}
		s, err := d.open(Status{}.Needs())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (Status{}).Run(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		warned := slices.ContainsFunc(d.said, func(e Event) bool { return e.Kind == Warning && strings.Contains(e.Text, "KEY_NEXT") })
		if warned != tc.warn {
			t.Errorf("%q of %s: %v", tc.env, tc.age, d.said)
		}
	}
}

// A keyring is current while it serves; exactly is for who wants a dropped key out of it.
func TestKeyringIsCurrentWhileItServes(t *testing.T) {
	d := newDesk(t, threeEntries, "a")
	d.changeKeys()
	put(t, DefaultEnv, strings.ReplaceAll(get(t, DefaultEnv), "KEY_PREVIOUS="+keyBefore+"\n", ""))
	for _, tc := range []struct {
		exactly bool
		want    string
	}{
		{false, "secret/fernet-key-g2 unchanged"}, {true, "secret/fernet-key-g3 created"}, {true, "secret/fernet-key-g3 unchanged"},
	} {
		s, err := d.open(Retire{}.Needs())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.dial(); err != nil {
			t.Fatal(err)
		}
		d.said = nil
		if err := s.ensureKeyring(t.Context(), "a", "fernet-key", s.Project.Keys, tc.exactly); err != nil || !slices.Equal(d.did(), []string{tc.want}) {
			t.Errorf("exactly %t: %v, %q, want %s", tc.exactly, err, d.did(), tc.want)
		}
		s.Close()
	}
}

// The name of a keyring that is gone, and that templates still name, is not used again.
func TestKeyringNameIsNotUsedAgain(t *testing.T) {
	d := newDesk(t, threeEntries, "a")
	d.must((*desk).push)
	d.run("web", "fernet-key-g4", "fernet-key", "other-g9")
	d.keepKeyring()
	if got := d.did(); !slices.Contains(got, "secret/fernet-key-g5 created") {
		t.Errorf("%q", got)
	}
}
