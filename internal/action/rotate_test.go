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
		outcome plan.Outcome
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
