// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// What each fate of a create makes of the decision, and which row the ledger gets.
func TestWhatComesOfACreate(t *testing.T) {
	there := manifest.Object{Name: "secret-a", EnvKey: "SECRET_A", Token: "theirs", Binding: "binding", UID: "uid"}
	holds := token.Verdict{Opens: true, KeyID: "k", Same: true, Binding: token.BindingHolds}
	other, misplaced, spelled := holds, holds, there
	other.Same, misplaced.Binding, spelled.EnvKey = false, token.BindingWrong, "SECRET-A"
	err := errors.New("cause")
	for _, tc := range []struct {
		name        string
		result      cluster.Result
		interrupted bool
		verdict     token.Verdict
		outcome     plan.State
		reason      string
		state       ledger.State // of the row; empty: none
		operation   ledger.Operation
		token       string
	}{
		{"it landed", cluster.Result{Fate: cluster.Landed, Object: there}, false, holds, plan.Created, "", ledger.Created, ledger.Push, "ours"},
		{"it landed after Ctrl-C", cluster.Result{Fate: cluster.Landed, Object: there}, true, holds, plan.Created, "", ledger.Created, ledger.Push, "ours"},
		{"it was refused", cluster.Result{Fate: cluster.Refused, Err: err}, false, holds, plan.Failed, "cause", ledger.Failed, ledger.Push, "ours"},
		{"nobody knows", cluster.Result{Fate: cluster.Doubtful, Err: err}, false, holds, plan.Failed, "cause; whether it was created is not known, push again to find out", "", "", ""},
		{"it is there, and being deleted", cluster.Result{Fate: cluster.Doubtful, Err: err, Object: there}, false, holds, plan.Failed, "cause", "", "", ""},
		{"its namespace refuses everything", cluster.Result{Fate: cluster.NotSent, Err: err}, false, holds, plan.Failed, "not sent: cause", "", "", ""},
		{"Ctrl-C came before its turn", cluster.Result{Fate: cluster.NotSent, Err: err}, true, holds, plan.NotSent, "", "", "", ""},
		{"a colleague pushed the same value", cluster.Result{Fate: cluster.Taken, Object: there}, false, holds, plan.Unchanged, "", ledger.Created, ledger.Learn, "theirs"},
		{"a colleague pushed another value", cluster.Result{Fate: cluster.Taken, Object: there}, false, other, plan.Differs, "another process pushed another value at the same moment", "", "", ""},
		{"a stranger took the name", cluster.Result{Fate: cluster.Taken, Object: there}, false, token.Verdict{}, plan.Foreign, "another process created a Secret of that name at the same moment", "", "", ""},
		{"a token of another place is there", cluster.Result{Fate: cluster.Taken, Object: there}, false, misplaced, plan.Foreign, "another process created a Secret of that name at the same moment", "", "", ""},
		{"another spelling of the entry is there", cluster.Result{Fate: cluster.Taken, Object: spelled}, false, holds, plan.Foreign, "another process created a Secret of that name at the same moment", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			row := ledger.Row{Operation: ledger.Push, State: ledger.Planned, Secret: "secret-a", Generation: 1, EnvKey: "SECRET_A", Token: "ours", KeyID: "k"}
			d := draft{&plan.Decision{Outcome: plan.Created, Row: row}, row}
			settle(d.Decision, tc.result, tc.interrupted, "push", func(token.Token) token.Verdict { return tc.verdict })
			got, is := (&Session{Request: Request{Machine: Machine{Now: time.Now}}}).outcome(d, tc.result)
			if d.Outcome != tc.outcome || d.Reason != tc.reason || is != (tc.state != "") {
				t.Errorf("%s (%s), a row: %v", d.Outcome, d.Reason, is)
			}
			if is && (got.State != tc.state || got.Operation != tc.operation || got.Token != tc.token || got.State == ledger.Created && got.UID != "uid") {
				t.Errorf("the row is %+v", got)
			}
		})
	}
}
