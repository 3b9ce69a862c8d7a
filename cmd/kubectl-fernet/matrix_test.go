// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// matrixVerb is a command of the sweeps, as a group of columns of the fault matrix.
type matrixVerb struct {
	name, sweep string
	pairwise    bool   // each two of a case's four parts come together, see pairs; else all four do
	walks       bool   // it looks at more than its Secrets, and can do without some
	provoked    string // of itself it gets nothing: what it does after a request of this kind whose reply was lost
}

var matrixVerbs = []matrixVerb{
	{"push", "push", false, false, createKind},
	{"push a bundle", "push as a bundle", false, false, createKind},
	{"rotate", "rotate", false, false, createKind},
	{"rotate a bundle", "rotate a bundle", false, false, createKind},
	{"rollout", "rollout", true, true, patchKind},
	{"retire", "retire", true, true, ""},
	{"restore", "restore", true, true, ""},
	{"adopt", "adopt", true, false, ""},
	{"wire", "wire", true, false, ""},
}

func (v matrixVerb) swept() sweep {
	return sweeps[slices.IndexFunc(sweeps, func(sw sweep) bool { return sw.name == v.sweep })]
}

// The kinds of requests. A dry run is the API server's; a discovery asks what kinds of
// objects there are.
const (
	listKind      = "list"
	getKind       = "get"
	discoveryKind = "discovery"
	watchKind     = "watch"
	dryRunKind    = "dry run"
	createKind    = "create"
	patchKind     = "patch"
	deleteKind    = "delete"
)

var requestKinds = []string{listKind, getKind, discoveryKind, watchKind, dryRunKind, createKind, patchKind, deleteKind}

var writeKinds = map[string]string{http.MethodPost: createKind, http.MethodPatch: patchKind, http.MethodDelete: deleteKind}

func kindOf(r faultproxy.Request) string {
	_, below, inNamespace := strings.Cut(r.Path, "/namespaces/")
	switch {
	case r.IsWrite():
		return writeKinds[r.Method]
	case r.Method != http.MethodGet:
		return dryRunKind
	case !inNamespace:
		return discoveryKind
	case strings.Contains(r.RawQuery, "watch=true"):
		return watchKind
	case strings.Count(below, "/") > 1:
		return getKind
	default:
		return listKind
	}
}

func ofKind(kind string, rule faultproxy.Rule) faultproxy.Rule {
	return func(r faultproxy.Request) faultproxy.Action {
		if kindOf(r) != kind {
			return nil
		}
		return rule(r)
	}
}

// matrixCase is one run of a verb, with one fault at one request.
type matrixCase struct {
	verb  matrixVerb
	kind  string
	at    position
	fault fault
	side  string
}

func (c matrixCase) String() string {
	return fmt.Sprintf("%s/%s %s/%s/%s", c.verb.name, c.at.name, c.kind, c.fault.name, c.side)
}

// The sides: the request was not forwarded when the fault happened, or it was.
const (
	before = "before"
	after  = "after"
)

// position is one of several requests of a kind.
type position struct {
	name string
	nth  int
}

// positions gives the first, a middle and the last of n.
func positions(n int) []position {
	all := []position{{"first", 1}, {"middle", (n + 1) / 2}, {"last", n}}
	if n == 2 {
		return []position{all[0], all[2]}
	}
	return all[:min(n, 3)]
}

// TestTrustFaultMatrix has each verb meet each fault, at each kind of request that it makes.
// Whatever happens, all that the sweeps hold at every moment holds, the exit code says how
// it ended, nothing secret is said, and the next run finishes.
func TestTrustFaultMatrix(t *testing.T) {
	var all []matrixCase
	for _, verb := range matrixVerbs {
		all = append(all, verb.cases(verb.undisturbed(t))...)
	}
	t.Run("cases", func(t *testing.T) {
		for _, c := range all {
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				c.run(t)
			})
		}
	})
	testkube.Cases(t, len(all))
	testkube.Table(t, "trust-matrix.md", "matrix", matrixTable(all))
}

// undisturbed gives how many requests of each kind the verb makes.
func (v matrixVerb) undisturbed(t *testing.T) map[string]int {
	t.Helper()
	s, proxy := v.swept().prepare(t), startProxy(t)
	run := s.disturbed(proxy, v.swept().args(s), func(func() int) []faultproxy.Rule { return v.provoke(getKind) })
	if code, out := run.ended(t); code != 0 {
		t.Fatalf("undisturbed: exit code %d\n%s", code, out)
	}
	counts := map[string]int{}
	for _, r := range proxy.Requests() {
		counts[kindOf(r)]++
	}
	// How often a rollout watches and lists meanwhile depends on how fast the workloads are.
	counts[watchKind] = min(counts[watchKind], 1)
	return counts
}

// provoke gives the rules that have a verb make requests of a kind.
func (v matrixVerb) provoke(kind string) []faultproxy.Rule {
	if kind != getKind || v.provoked == "" {
		return nil
	}
	return []faultproxy.Rule{faultproxy.Nth(1, ofKind(v.provoked, faultproxy.All(faultproxy.DropReply())))}
}

// cases gives the cases of a verb that makes so many requests.
func (v matrixVerb) cases(counts map[string]int) (all []matrixCase) {
	for _, kind := range requestKinds {
		for _, at := range positions(counts[kind]) {
			for _, f := range faults {
				for _, side := range []string{before, after} {
					if !f.lands || changes(kind) {
						all = append(all, matrixCase{v, kind, at, f, side})
					}
				}
			}
		}
	}
	if v.pairwise {
		return pairwise(all)
	}
	return all
}

// changes says that a request of that kind changes something.
func changes(kind string) bool { return kind == createKind || kind == patchKind || kind == deleteKind }

// pairs are each two of the parts of a case, and three where something is changed: there it
// matters for each fault whether the request was forwarded.
func (c matrixCase) pairs() (pairs [][2]string) {
	if changes(c.kind) {
		pairs = append(pairs, [2]string{c.kind + " " + c.fault.name, c.side})
	}
	parts := []string{c.kind, c.at.name, c.fault.name, c.side}
	for i, a := range parts {
		for _, b := range parts[i+1:] {
			pairs = append(pairs, [2]string{a, b})
		}
	}
	return pairs
}

// pairwise chooses so many of the cases that each two parts of a case which come together in
// one of all come together in one of these: always that which has most that are new.
func pairwise(all []matrixCase) (chosen []matrixCase) {
	covered := map[[2]string]bool{}
	for {
		best, most := -1, 0
		for i, c := range all {
			fresh := 0
			for _, pair := range c.pairs() {
				if !covered[pair] {
					fresh++
				}
			}
			if fresh > most {
				best, most = i, fresh
			}
		}
		if best < 0 {
			return chosen
		}
		chosen = append(chosen, all[best])
		for _, pair := range all[best].pairs() {
			covered[pair] = true
		}
	}
}

// Few of the cases have all that come together two by two in all of them.
func TestPairwise(t *testing.T) {
	counts := map[string]int{listKind: 9, getKind: 2, createKind: 1}
	all, chosen := matrixVerb{}.cases(counts), matrixVerb{pairwise: true}.cases(counts)
	covered := map[[2]string]bool{}
	for _, c := range chosen {
		for _, pair := range c.pairs() {
			covered[pair] = true
		}
	}
	for _, c := range all {
		for _, pair := range c.pairs() {
			if !covered[pair] {
				t.Errorf("no case has %v", pair)
			}
		}
	}
	if len(all) != (3+2+1)*2*len(faults)-2*(3+2) || len(chosen) > len(all)/2 {
		t.Errorf("%d cases, of which %d are chosen", len(all), len(chosen))
	}
}

// matrixTable has a row for each fault and side, a column for each kind of request of each
// verb, and in each cell the number of cases, or a letter that says why there is none.
func matrixTable(all []matrixCase) string {
	type column struct{ verb, kind string }
	type cell struct {
		column
		fault, side string
	}
	cells, made := map[cell]int{}, map[column]bool{}
	for _, c := range all {
		of := column{c.verb.name, c.kind}
		cells[cell{of, c.fault.name, c.side}]++
		made[of] = true
	}
	var columns []column
	head, rule, lacking := "| fault | side |", "|---|---|", ""
	for _, verb := range matrixVerbs {
		var none []string
		for _, kind := range requestKinds {
			of := column{verb.name, kind}
			if !made[of] {
				none = append(none, kind)
				continue
			}
			columns = append(columns, of)
			head, rule = head+" "+verb.name+": "+kind+" |", rule+"--:|"
		}
		lacking += "* " + verb.name + " makes no request of these kinds: " + strings.Join(none, ", ") + ".\n"
	}
	text := head + "\n" + rule + "\n"
	for _, f := range faults {
		for _, side := range []string{before, after} {
			text += "| " + f.name + " | " + side + " |"
			for _, of := range columns {
				text += " " + cellText(f, of.kind, cells[cell{of, f.name, side}]) + " |"
			}
			text += "\n"
		}
	}
	return text + "\n" + lacking
}

// cellText gives the number of cases, or why there are none.
func cellText(f fault, kind string, n int) string {
	switch {
	case n > 0:
		return strconv.Itoa(n)
	case f.lands && !changes(kind):
		return "r"
	default:
		return "p"
	}
}
