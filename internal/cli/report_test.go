// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/target"
)

// docs/reports.md names each field of each report, and no other.
func TestReportsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/reports.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(page), "\n## ")
	for i, of := range [][]reflect.Type{
		{reflect.TypeFor[report[int]]()},
		{reflect.TypeFor[plan.Status](), reflect.TypeFor[plan.Older]()},
		{reflect.TypeFor[diffItem]()},
		{reflect.TypeFor[verifyItem](), reflect.TypeFor[plan.Finding]()},
		{reflect.TypeFor[action.Item](), reflect.TypeFor[action.Renamed](), reflect.TypeFor[action.KeptBy]()},
	} {
		fields := map[string]bool{}
		for _, typ := range of {
			for j := range typ.NumField() {
				if name, _, _ := strings.Cut(typ.Field(j).Tag.Get("json"), ","); name != "" {
					fields[name] = true
				}
			}
		}
		if documented := firstCells(sections[i]); !reflect.DeepEqual(fields, documented) {
			t.Errorf("section %d: fields %v, documented %v", i, action.SortedKeys(fields), action.SortedKeys(documented))
		}
	}
}

// firstCells gives the words in the first column of a table.
func firstCells(section string) map[string]bool {
	words := map[string]bool{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for k, word := range strings.Split(cells[1], "`") {
			if k%2 == 1 {
				words[word] = true
			}
		}
	}
	return words
}

// docs/reports.md names each state, and no other; no two are the same word.
func TestStatesAreDocumented(t *testing.T) {
	_, section, _ := strings.Cut(get(t, "../../docs/reports.md"), "\n## States\n")
	file, err := parser.ParseFile(token.NewFileSet(), "../plan/state.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]bool{}
	for _, word := range constants(file, "State") {
		if states[word] || !oneWord.MatchString(word) {
			t.Errorf("%q: twice, or no lower-case words with dashes", word)
		}
		states[word] = true
	}
	if documented := firstCells(section); !reflect.DeepEqual(states, documented) {
		t.Errorf("states %v, documented %v", action.SortedKeys(states), action.SortedKeys(documented))
	}
}

var oneWord = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)

// constants gives the values of the constants of a type.
func constants(file *ast.File, of string) (values []string) {
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == of {
			values = append(values, strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`))
		}
		return true
	})
	return values
}

// verbItems are items of the four verbs that write, with all that they can say.
func verbItems() map[string][]action.Item {
	secret := func(name string, generation int, state plan.State, reason string) action.Item {
		return action.ItemOf(plan.Decision{Outcome: state, Reason: reason, Row: ledger.Row{Namespace: "prod", Secret: name, EnvKey: "SECRET_A", Generation: generation, KeyID: "k0123abcd"}})
	}
	workload := func(kind, name string, state plan.State, changed bool) action.Item {
		return action.Item{
			Kind: kind, Namespace: "prod", Name: name, Object: strings.ToLower(kind) + ".apps/" + name, State: state, Changed: changed,
			Renames: []action.Renamed{{From: "secret-a", To: "secret-a-g2"}},
		}
	}
	web, db := workload("Deployment", "web", plan.RolledOut, true), workload("StatefulSet", "db", plan.Failed, true)
	web.Keeper = "Argo CD"
	db.Reason, db.WayOut, db.UnhealthyBefore = "the rollout has not succeeded:\n0 of 1 pods are ready", "run the same command again to go on waiting", true
	keyring := action.Item{Kind: action.KindKeyring, Namespace: "prod", Name: "fernet-key-g2", Object: "secret/fernet-key-g2", State: plan.Created, Changed: true, Generation: 2, KeyID: "k0123abcd"}
	kept := secret("secret-a", 1, plan.InUse, "")
	kept.KeptBy = []action.KeptBy{
		{Object: "pod/web-6d5c-x7x2p", Root: "deployment.apps/web", Way: plan.InUse, Where: ".spec.volumes[0].secret.secretName", Reason: "running pod"},
		{Object: "replicaset.apps/web-6d5c", Root: "deployment.apps/web", Way: plan.History, Where: ".spec.template", Reason: "revision 3, kubectl rollout undo deployment.apps/web --to-revision=3"},
	}
	key := action.KeyItem("k9876fedc", plan.Kept, false)
	key.KeptBy = []action.KeptBy{{Reason: `cluster "old" of the ledger was not reached`, WayOut: "--forget-cluster old if it is gone for good"}}
	return map[string][]action.Item{
		"RotateReport":  {secret("secret-a-g2", 2, plan.Created, ""), secret("secret-b", 1, plan.Foreign, "the name is taken"), keyring, web, action.KeyItem("k0123abcd", plan.Staged, true)},
		"RolloutReport": {keyring, web, db, workload("DaemonSet", "agent", plan.LacksKey, false)},
		"RetireReport":  {kept, secret("secret-b", 1, plan.Unproven, "not allowed to list pods"), key},
		"RestoreReport": {secret("secret-a", 1, plan.Created, ""), secret("secret-a-g2", 2, plan.Unchanged, ""), keyring},
	}
}

// The report of each verb that writes, in each format.
func TestVerbReports(t *testing.T) {
	for kind, items := range verbItems() {
		verb := strings.ToLower(strings.TrimSuffix(kind, "Report"))
		for format, file := range map[string]string{"json": verb + ".json", "yaml": verb + ".yaml", "name": verb + ".names"} {
			a, out, _ := newApp()
			a.report(items...)
			s := &action.Session{Target: target.Target{Cluster: "main", Namespaces: []string{"prod"}}}
			if verb == "rollout" {
				s.Mode = action.Server
			}
			if err := a.ended(s, &workOptions{output: format}, kind, errFindings); !errors.Is(err, errFindings) {
				t.Fatal(err)
			}
			goldenIn(t, "reports", file, out.String())
		}
	}
}

// What failed before it did anything has no report; what had done something has one.
func TestReportOfWhatFailed(t *testing.T) {
	broken := errors.New("broken")
	for _, tc := range []struct {
		name  string
		items []action.Item
		err   error
		want  string
	}{
		{"before", nil, broken, ""},
		{"on its way", verbItems()["RestoreReport"], broken, `"name": "secret-a-g2"`},
		{"with nothing to do", nil, nil, `"items": []`},
		{"with entries that failed", nil, errEntries, `"items": []`},
	} {
		a, out, _ := newApp()
		a.report(tc.items...)
		err := a.ended(&action.Session{}, &workOptions{output: "json"}, "RestoreReport", tc.err)
		if !errors.Is(err, tc.err) || (out.String() == "") != (tc.want == "") || !strings.Contains(out.String(), tc.want) {
			t.Errorf("%s: %v\n%s", tc.name, err, out)
		}
	}
}

// -o takes what the verb has, and says it.
func TestFormats(t *testing.T) {
	for verb, formats := range map[string]string{"rotate": "json, yaml, name", "rollout": "json, yaml, name", "retire": "json, yaml, name", "restore": "json, yaml, name", "diff": "json, yaml", "verify": "json, yaml", "status": "wide, json, yaml, name"} {
		want := "error: -o: no such output format\nhint: one of: " + formats + "\n"
		if code, stdout, stderr := run(t, verb, "-o", "xml"); code != 2 || stdout != "" || stderr != want {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", verb, code, stdout, stderr)
		}
		_, stdout, _ := run(t, "__complete", verb, "-o", "")
		if want := strings.ReplaceAll(formats, ", ", "\n") + "\n:4\n"; stdout != want {
			t.Errorf("%s: completes %q, want %q", verb, stdout, want)
		}
	}
}
