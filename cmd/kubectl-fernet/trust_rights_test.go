// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// rightsCases are the commands, and where each is run: writes says that a run changes the
// place, so that each one needs its own.
var rightsCases = []struct {
	verb    string
	args    []string
	prepare func(*testing.T) rotatedPlace
	writes  bool
}{
	{"push", []string{"push"}, unpushedPlace, true},
	{"rotate", []string{"rotate", "--yes"}, pushedPlace, true},
	{"restore", []string{"restore"}, lostPlace, true},
	{"diff", []string{"diff"}, pushedPlace, false},
	{"pull", []string{"pull", "--from", "cluster", "--out", "-"}, pushedPlace, true},
	{"reveal", []string{"reveal", "SECRET_00", "--from", "cluster"}, pushedPlace, false},
	{"exec-env", []string{"exec-env", "--from", "cluster", "--", "true"}, pushedPlace, false},
	{"verify", []string{"verify"}, pushedPlace, false},
	{"status", []string{"status"}, pushedPlace, false},
	{"adopt", []string{"adopt", "secret-00"}, strippedPlace, true},
	{"wire", []string{"wire", "deployment/web", "--yes", "--no-wait"}, pushedPlace, true},
	{"rollout", []string{"rollout", "--apps-have-key", nextKeyID, "--yes", "--no-wait"}, behindPlace, true},
	{"retire", []string{"retire", "--skip-cluster-check", "--ignore", "history", "--yes", "--strict"}, idlePlace, true},
}

func unpushedPlace(t *testing.T) rotatedPlace {
	t.Helper()
	return rotatedPlace{newPlace(t, 2)}
}

func pushedPlace(t *testing.T) rotatedPlace {
	t.Helper()
	p := unpushedPlace(t)
	p.must("push")
	p.kubectl("", "create", "deployment", "web", "--image", "app", "--replicas", "0")
	return p
}

// lostPlace has lost a Secret.
func lostPlace(t *testing.T) rotatedPlace {
	t.Helper()
	p := pushedPlace(t)
	p.kubectl("", "delete", "secret", "secret-00")
	return p
}

// strippedPlace has a Secret of ours of which nothing is known.
func strippedPlace(t *testing.T) rotatedPlace {
	t.Helper()
	p := pushedPlace(t)
	token := p.kubectl("", "get", "secret", "secret-00", "-o", "go-template={{.data.SECRET_00 | base64decode}}")
	p.kubectl("", "delete", "secret", "secret-00")
	p.kubectl("", "create", "secret", "generic", "secret-00", "--from-literal", "SECRET_00="+token)
	if err := os.Remove(filepath.Join(p.dir, "fernet-ledger.csv")); err != nil {
		t.Fatal(err)
	}
	return p
}

// behindPlace has a workload that names a Secret of before the rotation.
func behindPlace(t *testing.T) rotatedPlace {
	t.Helper()
	p := newRotatedPlace(t, 2)
	p.kubectl(web("web", "secret-00"), "create", "-f", "-")
	return p
}

func idlePlace(t *testing.T) rotatedPlace {
	t.Helper()
	return newRotatedPlace(t, 2)
}

// Whatever rights a user lacks, a command works, or it says which right is missing, where,
// and which command prints the Role: for push with every subset of its rights; for the others
// with each right taken away, and with each one alone; and with the roles that clusters have.
func TestTrustRights(t *testing.T) {
	var cells []*rightsCell
	shared := map[int]rotatedPlace{} // of commands that change nothing
	for i, test := range rightsCases {
		cells = append(cells, cellsOf(t, i)...)
		if !test.writes {
			shared[i] = test.prepare(t)
		}
	}
	t.Run("cells", func(t *testing.T) {
		for _, cell := range cells {
			t.Run(cell.name(), func(t *testing.T) {
				t.Parallel()
				p, ready := shared[cell.test]
				if !ready {
					p = rightsCases[cell.test].prepare(t)
				}
				cell.run(t, p)
			})
		}
	})
	testkube.Cases(t, len(cells))
	testkube.Table(t, "trust.md", "rights", rightsTable(cells))
}

// rightsCell is a command with some rights.
type rightsCell struct {
	test    int // of rightsCases
	title   string
	rules   []rbacv1.PolicyRule // one verb each
	role    string              // a ClusterRole, instead of rules
	missing []rbacv1.PolicyRule
	result  string
}

func (c *rightsCell) name() string { return rightsCases[c.test].verb + "/" + c.title }

// cellsOf gives the cells of a command, from what rbac prints.
func cellsOf(t *testing.T, test int) (cells []*rightsCell) {
	t.Helper()
	verb := rightsCases[test].verb
	text, err := exec.Command("kubectl-fernet", "rbac", "--for", verb).Output()
	var printed rbacv1.Role
	if err == nil {
		err = yaml.UnmarshalStrict(text, &printed)
	}
	if err != nil {
		t.Fatal(err)
	}
	all := eachRight(printed.Rules)
	cells = append(cells, &rightsCell{test: test, title: "all", rules: all})
	if verb == "push" {
		return append(cells, subsets(test, all)...)
	}
	for i, right := range all {
		cells = append(cells,
			&rightsCell{test: test, title: "without " + titleOf(right), rules: slices.Delete(slices.Clone(all), i, i+1), missing: all[i : i+1]},
			&rightsCell{test: test, title: titleOf(right) + " alone", rules: all[i : i+1], missing: slices.Delete(slices.Clone(all), i, i+1)})
	}
	return append(cells, clusterRoles(test, all)...)
}

// subsets are all of them but the whole one.
func subsets(test int, all []rbacv1.PolicyRule) (cells []*rightsCell) {
	for set := range 1<<len(all) - 1 {
		c := &rightsCell{test: test}
		for i, right := range all {
			if set>>i&1 == 1 {
				c.rules = append(c.rules, right)
			} else {
				c.missing = append(c.missing, right)
			}
		}
		var titles []string
		for _, right := range c.missing {
			titles = append(titles, titleOf(right))
		}
		c.title = "without " + strings.Join(titles, ", ")
		cells = append(cells, c)
	}
	return append(cells, clusterRoles(test, all)...)
}

func clusterRoles(test int, all []rbacv1.PolicyRule) (cells []*rightsCell) {
	for _, role := range []string{"view", "edit", "admin"} {
		cells = append(cells, &rightsCell{test: test, title: "ClusterRole " + role, role: role, missing: all})
	}
	return cells
}

// eachRight takes rules apart, into those of one verb.
func eachRight(rules []rbacv1.PolicyRule) (each []rbacv1.PolicyRule) {
	for _, rule := range rules {
		for _, verb := range rule.Verbs {
			one := rule
			one.Verbs = []string{verb}
			each = append(each, one)
		}
	}
	return each
}

func titleOf(right rbacv1.PolicyRule) string {
	of := right.Resources[0]
	if n := len(right.Resources); n > 1 {
		of += fmt.Sprintf(" and %d more", n-1)
	}
	return right.Verbs[0] + " " + of
}

// run runs the command as a user with these rights, and judges what it says.
func (c *rightsCell) run(t *testing.T, p rotatedPlace) {
	t.Helper()
	args := rightsCases[c.test].args
	user := "u-" + strings.ToLower(strings.Map(lettersAlone, c.name())) + "-" + p.namespace
	c.bind(t, p.namespace, user)
	out, err := p.command(testkube.Kubeconfig(t), slices.Insert(slices.Clone(args), 1, "--as", user)...).CombinedOutput()
	code, said := exitCode(t, err), string(out)
	told := c.told(said, p.namespace)
	switch {
	case strings.Contains(said, "panic"), code < 0, code > 2:
		t.Errorf("exit code %d\n%s", code, said)
	case told && code == 2:
		c.result = "refused"
	case told:
		c.result = "in part"
	case code == 0:
		c.result = "works"
	default:
		t.Errorf("exit code %d, and the missing right is not named with %s in %s and with kubectl fernet rbac\n%s", code, c.title, p.namespace, said)
	}
	if len(c.missing) == 0 && c.result != "works" {
		t.Errorf("with all rights: %s\n%s", c.result, said)
	}
}

func lettersAlone(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return -1
}

// told says whether a missing right is named: its verb, its resource, the namespace, and the
// command that prints the Role.
func (c *rightsCell) told(said, namespace string) bool {
	verb, said := rightsCases[c.test].verb, strings.ToLower(said)
	return strings.Contains(said, namespace) && strings.Contains(said, "kubectl fernet rbac --for "+verb) &&
		slices.ContainsFunc(c.missing, func(right rbacv1.PolicyRule) bool {
			return strings.Contains(said, right.Verbs[0]) && slices.ContainsFunc(right.Resources, func(resource string) bool { return strings.Contains(said, resource) })
		})
}

// bind gives the rights, and waits until they hold.
func (c *rightsCell) bind(t *testing.T, namespace, user string) {
	t.Helper()
	if c.role == "" {
		testkube.Grant(t, namespace, user, c.rules...)
		return
	}
	testkube.Bind(t, namespace, user, "ClusterRole", c.role, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}})
}

// rightsTable has a row for each command and right, and one for each command and ClusterRole.
func rightsTable(cells []*rightsCell) string {
	without, alone, roles := map[string]string{}, map[string]string{}, map[string]map[string]string{}
	var push strings.Builder
	for _, c := range cells {
		verb := rightsCases[c.test].verb
		right, is := strings.CutPrefix(c.title, "without ")
		switch {
		case c.role != "":
			if roles[verb] == nil {
				roles[verb] = map[string]string{}
			}
			roles[verb][c.role] = c.result
		case verb == "push":
			fmt.Fprintf(&push, "| push | %s | %s |\n", c.title, c.result)
		case is:
			without[verb+" | "+right] = c.result
		default:
			right, _ = strings.CutSuffix(c.title, " alone")
			alone[verb+" | "+right] = c.result
		}
	}
	var b strings.Builder
	b.WriteString("\n| command | with | |\n|---|---|---|\n" + push.String())
	b.WriteString("\n| command | right | without it | with it alone |\n|---|---|---|---|\n")
	for _, at := range slices.Sorted(maps.Keys(without)) {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", at, without[at], alone[at])
	}
	b.WriteString("\n| command | view | edit | admin |\n|---|---|---|---|\n")
	for _, verb := range slices.Sorted(maps.Keys(roles)) {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", verb, roles[verb]["view"], roles[verb]["edit"], roles[verb]["admin"])
	}
	return b.String()
}
