// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

func (d *desk) rotate(ctx context.Context) ([]plan.Decision, error) { return d.rotateAs(ctx, Rotate{}) }

func (d *desk) rotateAs(ctx context.Context, verb Rotate) ([]plan.Decision, error) {
	s, err := d.open(verb.Needs())
	if err != nil {
		return nil, err
	}
	defer s.Close()
	p, err := verb.Plan(ctx, s)
	switch {
	case err != nil:
		return nil, err
	case p.Phase == RotateMoves:
		err = p.Apply(ctx)
	case p.Phase == RotateComplete:
		err = p.Confirm()
	}
	return p.Decisions(), err
}

// Where a previous key is newer than KEY, because the two were swapped or somebody with an
// older .env wrote last, neither of them leads out as KEY; a key that is newer than both does.
func TestNewKeyWhereAPreviousOneIsNewer(t *testing.T) {
	d := newDesk(t, threeEntries, "a")
	d.must((*desk).push)
	d.must((*desk).rotate)
	lines := strings.Split(get(t, DefaultEnv), "\n")
	swap := strings.NewReplacer("KEY=", "KEY_PREVIOUS=", "KEY_PREVIOUS=", "KEY=")
	for i, line := range lines {
		if strings.HasPrefix(line, "KEY") {
			lines[i] = swap.Replace(line)
		}
	}
	put(t, DefaultEnv, strings.Join(lines, "\n"))
	for _, tc := range []struct {
		name    string
		verb    Rotate
		outcome plan.State
		there   int
	}{
		{"as it is", Rotate{}, plan.Superseded, 6},
		{"with a new key", Rotate{NewKey: true}, plan.Created, 9},
		{"and again", Rotate{}, plan.Unchanged, 9},
	} {
		decisions, err := d.rotateAs(t.Context(), tc.verb)
		if err != nil || outcomes(decisions)[tc.outcome] != 3 || len(d.cluster.secrets) != tc.there {
			t.Errorf("%s: %v, %v, %d Secrets", tc.name, err, outcomes(decisions), len(d.cluster.secrets))
		}
	}
}

// A rotation with nothing to rotate, and one whose key is in the environment alone, end
// before anything is asked.
func TestRotationsThatDoNotBegin(t *testing.T) {
	for name, tc := range map[string]struct {
		env, variable, want string
	}{
		"nothing was pushed":           {threeEntries, "", "so there is nothing to rotate"},
		"no file can keep the new key": {"SECRET_A=one\n", testKey, "no file in which a new key could be kept"},
	} {
		d := newDesk(t, tc.env, "a")
		d.request.FernetKey = tc.variable
		if _, err := d.rotate(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		if len(d.cluster.secrets) > 0 || get(t, DefaultEnv) != tc.env {
			t.Errorf("%s: something was written", name)
		}
	}
}

// A staged key may have leaked with the .env, so with --new-key it never seals. It is kept
// as one that opens only where a row or a Secret is under it, and an unfinished rotation
// does not come first.
func TestNewKeyPassesOverAStagedOne(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(d *desk)
		keys    int // that open then
		staged  bool
	}{
		{"nothing is under it", func(d *desk) { d.must((*desk).push) }, 2, false},
		{"tokens are under it", func(d *desk) {
			put(d.t, DefaultEnv, strings.ReplaceAll(threeEntries, testKey, keyBefore))
			d.must((*desk).push)
			put(d.t, DefaultEnv, threeEntries+"KEY_PREVIOUS="+keyBefore+"\n")
		}, 3, true},
	} {
		d := newDesk(t, threeEntries, "a")
		tc.prepare(d)
		lines := strings.ReplaceAll(get(t, DefaultEnv), "KEY_PREVIOUS="+keyBefore+"\n", "")
		put(t, DefaultEnv, lines+"KEY_NEXT="+keyBefore+"\n")
		if _, err := d.rotateAs(t.Context(), Rotate{NewKey: true}); err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		env := loaded(t, "", "").Project.Keys
		text := get(t, DefaultEnv)
		if strings.Contains(text, "\nKEY="+keyBefore) || strings.Contains(text, "KEY_NEXT") || len(env.IDs()) != tc.keys || strings.Contains(text, keyBefore) != tc.staged {
			t.Errorf("%s: the keyring is %v", tc.name, env.IDs())
		}
	}
}
