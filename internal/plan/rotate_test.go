// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// A move is written OUTCOME gGENERATION, then what else it says.
func written(moves []plan.Move) string {
	var out []string
	for _, m := range moves {
		text := string(m.Outcome) + " " + m.Row.Secret
		if m.Outcome == plan.Created {
			text += " of " + m.From.Token
		}
		if m.Resend {
			text += " resend " + m.Row.Token
		}
		if m.Complete {
			text += " complete"
		}
		if m.Differs {
			text += " differs"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func TestRotate(t *testing.T) {
	for _, tt := range []struct {
		name    string
		objects []manifest.Object
		records []ledger.Record
		want    string
	}{
		{"nothing there", nil, nil, ""},
		{"under the old key", []manifest.Object{live(1, previous)}, nil, "created secret-a-g2 of k-old/now"},
		{"the live value is taken, not the .env's", []manifest.Object{live(1, "k-old/before")}, nil, "created secret-a-g2 of k-old/before differs"},
		{"under KEY", []manifest.Object{live(2, current), live(1, previous)}, records(row(2, ledger.Created, current)), "unchanged secret-a-g2"},
		{"under KEY, not recorded", []manifest.Object{live(2, current), live(1, previous)}, nil, "unchanged secret-a-g2"},
		{"the plan of an interrupted rotation goes out again", []manifest.Object{live(1, previous)},
			records(row(1, ledger.Created, previous), rotated(2, ledger.Planned, current)), "created secret-a-g2 of k-old/now resend k-new/now"},
		{"its plan was for another value", []manifest.Object{live(1, "k-old/before")},
			records(rotated(2, ledger.Planned, current)), "created secret-a-g3 of k-old/before differs"},
		{"its plan was under another key", []manifest.Object{live(1, previous)},
			records(rotated(2, ledger.Planned, "k-old/now")), "created secret-a-g3 of k-old/now"},
		{"a plan that failed may have landed: the same bytes again", []manifest.Object{live(1, previous)},
			records(rotated(2, ledger.Failed, current)), "created secret-a-g2 of k-old/now resend k-new/now"},
		{"its Secret landed", []manifest.Object{live(1, previous), live(2, current)},
			records(rotated(2, ledger.Planned, current)), "unchanged secret-a-g2"},
		{"a number that somebody burned", []manifest.Object{live(1, previous), live(7, "k-lost/x", unlabelled, binding(""))}, nil, "created secret-a-g8 of k-old/now"},
		{"a token copied from elsewhere", []manifest.Object{live(1, previous), live(9, previous, binding("elsewhere"))}, nil,
			"misplaced secret-a-g9, created secret-a-g10 of k-old/now"},
		{"under a key that we lack", []manifest.Object{live(1, previous), live(2, alien)}, nil, "superseded secret-a-g2"},
		{"recorded under a key that we lack", []manifest.Object{live(1, previous)}, records(row(2, ledger.Created, alien)), "superseded secret-a-g2"},
		{"recorded, opens with no key", []manifest.Object{live(1, garbage)}, records(row(1, ledger.Created, garbage)), "blocked secret-a"},
		{"recorded, gone, and newer: its token has the value", []manifest.Object{live(1, previous)}, records(row(2, ledger.Created, "k-old/newer")), "created secret-a-g3 of k-old/newer differs"},
		{"recorded under KEY, gone, and newer: it comes back", []manifest.Object{live(1, previous)}, records(row(2, ledger.Created, current)), "created secret-a-g2 of k-new/now resend k-new/now"},
		{"all is gone, and the ledger and the .env have it", nil, records(row(2, ledger.Created, previous)), "created secret-a-g3 of k-old/now"},
		{"recorded, its name taken by other bytes", []manifest.Object{live(1, previous), live(2, garbage, unlabelled)}, records(row(2, ledger.Created, "k-old/newer")), "blocked secret-a-g2"},
		{"recorded, gone, and older", []manifest.Object{live(2, previous)}, records(row(1, ledger.Created, "k-old/before")), "created secret-a-g3 of k-old/now"},
		{"retired", nil, records(row(1, ledger.Deleted, previous)), ""},
		{"being deleted", []manifest.Object{live(1, previous, deleting)}, nil, "blocked secret-a"},
		{"somebody else's", []manifest.Object{live(1, "plain", unlabelled)}, nil, ""},
		{"KEY is the older key", []manifest.Object{live(1, current), live(2, previous)}, nil, "superseded secret-a-g2"},
	} {
		moves, err := plan.Rotate(plan.View{Cluster: "c", Namespace: "ns", Objects: tt.objects, Records: tt.records}, secretA, judge, ring{}, sameValue, anyName)
		if got := written(moves); err != nil || got != tt.want {
			t.Errorf("%s: %s, %v; want %s", tt.name, got, err, tt.want)
		}
	}
}

func anyName(string) bool { return true }

func TestRotateOfAnOrphan(t *testing.T) {
	view := plan.View{Cluster: "c", Namespace: "ns", Objects: []manifest.Object{live(1, "k-old/before")}, Records: records(row(1, ledger.Created, "k-old/before"))}
	mine := plan.Mine(view.Records, nil)
	moves, err := plan.Rotate(view, mine, judge, ring{}, sameValue, func(string) bool { return false })
	if got := written(moves); err != nil || got != "created secret-a-g2 of k-old/before" {
		t.Errorf("%s, %v", got, err)
	}
	if op := moves[0].Row.Operation; op != ledger.Rotate {
		t.Errorf("operation %s", op)
	}
}

func TestRotateRefusesAnotherSpelling(t *testing.T) {
	view := plan.View{Cluster: "c", Namespace: "ns", Objects: []manifest.Object{live(1, previous, spelled("SECRET-A"))}}
	_, err := plan.Rotate(view, secretA, judge, ring{}, sameValue, anyName)
	var spelling *plan.SpellingError
	if !errors.As(err, &spelling) || spelling.Spelling != "SECRET-A" {
		t.Errorf("%v", err)
	}
}

// Mine is sorted by base name, whoever asks and in whichever order the .env is.
func TestMine(t *testing.T) {
	old := row(1, ledger.Created, previous)
	old.Secret, old.EnvKey = "secret-0", "SECRET_0"
	gone := row(1, ledger.Deleted, previous)
	gone.Secret, gone.EnvKey = "secret-9", "SECRET_9"
	var names []string
	for _, w := range plan.Mine(records(old, gone, row(3, ledger.Created, previous)), []plan.Wanted{
		{EnvKey: "SECRET_Z", Base: "secret-z"}, {EnvKey: "SECRET_A", Base: "secret-a"}}) {
		names = append(names, w.EnvKey)
	}
	if got := strings.Join(names, " "); got != "SECRET_0 SECRET_A SECRET_Z" {
		t.Error(got)
	}
}
