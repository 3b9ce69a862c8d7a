// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

const (
	fleetSeeds = 8 // FERNET_TEST_SEEDS takes more, FERNET_TEST_SEED takes one
	fleetSteps = 8 // of each world
)

// Worlds of all kinds of objects, whatever people and the verbs do to them in whatever
// order, and wherever a verb is killed or meets a fault: no pod template is left with what
// it cannot open, nothing that is named is deleted, nothing of others is changed, and in
// the end all older generations and keys go. In every other world people put the entries
// into a bundle, or into Secrets of their own again.
func TestRandomWorkloads(t *testing.T) {
	group := defineWidgets(t)
	first, last := testkube.Seeds(t, fleetSeeds)
	testkube.Cases(t, fleetSeeds*fleetSteps)
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			newFleet(t, seed, group).play(fleetSteps)
		})
	}
}

// fleet is a world: a folder, its namespace, and what is there.
type fleet struct {
	site
	random  *rand.Rand
	group   string // of Widgets, a custom resource
	owner   string // the uid of the Widget that owns things
	things  []*thing
	steps   []string // so far
	said    string   // by the last command
	changed int      // values given out
	forms   bool     // people switch between single Secrets and a bundle
}

func defineWidgets(t *testing.T) (group string) {
	t.Helper()
	group = strings.TrimPrefix(testkube.Namespace(t), "t-") + ".example.com"
	f := &fleet{site: site{place: place{t: t, namespace: "default"}}}
	f.mustKubectl(`{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.`+group+`"}, "spec": {"group": "`+group+`", "scope": "Namespaced",
		"names": {"kind": "Widget", "plural": "widgets"}, "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}`,
		"create", "-f", "-")
	t.Cleanup(func() { _, _ = f.kubectl("", "delete", "crd", "widgets."+group, "--wait=false") })
	f.mustKubectl("", "wait", "--for=condition=Established", "crd", "widgets."+group, "--timeout=1m")
	return group
}

func newFleet(t *testing.T, seed uint64, group string) *fleet {
	t.Helper()
	f := &fleet{
		site:   site{place: newPlace(t, len(tokenBases)), holder: ".env", seen: map[string]string{}},
		random: rand.New(rand.NewPCG(seed, 0)), group: group, forms: seed%2 == 1,
	}
	env := filepath.Join(f.dir, ".env")
	write(t, env, strings.Replace(string(read(t, env)), testKey, freshKey(t), 1))
	f.steps = append(f.steps, fmt.Sprintf("FERNET_TEST_SEED=%d replays this", seed))
	if f.forms && f.often(50) {
		f.place = f.bundled()
	}
	f.must("push")
	f.must("rotate", "--prepare", "--key-secret", keyringBase, "--yes")
	f.mustKubectl(`{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "`+somebodys+`"}, "stringData": {"a": "b"}}`, "create", "-f", "-")
	f.mustKubectl(`{"apiVersion": "`+group+`/v1", "kind": "Widget", "metadata": {"name": "owner"}}`, "create", "-f", "-")
	f.owner = f.mustKubectl("", "get", "widgets."+group, "owner", "-o", "jsonpath={.metadata.uid}")
	kinds := [][]string{patchables, anything}[f.random.IntN(2)]
	for i := range 5 + f.random.IntN(4) {
		g := randomThing(f.random, i, kinds)
		f.things = append(f.things, g)
		if !f.write(g, f.current(f.snapshot())) {
			f.fatalf("%s cannot be made: %s", g, f.said)
		}
		f.log("%s by %s, broken %t, owned %t: %v", g, g.apply, g.broken, g.owned, g.refs)
	}
	return f
}

func (f *fleet) log(format string, args ...any) {
	f.steps = append(f.steps, fmt.Sprintf(format, args...))
}

func (f *fleet) fatalf(format string, args ...any) {
	f.t.Helper()
	f.t.Fatalf("%s\n%s\nthe last command said:\n%s", strings.Join(f.steps, "\n  "), fmt.Sprintf(format, args...), f.said)
}

// kubectl runs kubectl as the administrator; ok says whether it ended with 0.
func (f *fleet) kubectl(manifest string, args ...string) (out string, ok bool) {
	cmd := exec.Command(filepath.Join(testkube.Root(f.t), "bin", "kubectl"), append(args, "-n", f.namespace, "--kubeconfig", testkube.Kubeconfig(f.t))...)
	cmd.Stdin = strings.NewReader(manifest)
	said, err := cmd.CombinedOutput()
	return string(said), err == nil
}

func (f *fleet) mustKubectl(manifest string, args ...string) string {
	f.t.Helper()
	out, ok := f.kubectl(manifest, args...)
	if !ok {
		f.t.Fatalf("kubectl %s\n%s", strings.Join(args, " "), out)
	}
	return out
}

// write applies the manifest of a thing with these names, in its own way.
func (f *fleet) write(g *thing, names secretNames) (ok bool) {
	manifest := g.manifest(f.group, f.owner, names)
	args := []string{"apply", "-f", "-"}
	switch {
	case g.apply == plainCreate && g.applied == nil:
		args[0] = "create"
	case g.apply == serverSide:
		args = append(args, "--server-side", "--force-conflicts", "--field-manager=team")
	}
	if f.said, ok = f.kubectl(manifest, args...); ok {
		g.applied = names
		g.manifests = append(g.manifests, names)
	}
	return ok
}

func (f *fleet) play(steps int) {
	f.t.Helper()
	for range steps {
		f.step()
	}
	f.putInOrder()
}

func (f *fleet) often(percent int) bool { return f.random.IntN(100) < percent }

func nothing(*thing) bool    { return false }
func everything(*thing) bool { return true }

// step does one thing.
func (f *fleet) step() {
	f.t.Helper()
	if f.forms && f.often(15) {
		f.changeForm()
		return
	}
	switch f.random.IntN(24) {
	case 0:
		f.verb(nothing, "push")
	case 1, 2:
		f.changeValue()
		if f.often(50) {
			f.verb(everything, "push", "--update", "--rollout", "--yes", "--workload-timeout", "4s")
		} else {
			f.verb(nothing, "push", "--update")
		}
	case 3, 4, 5:
		f.rotate()
	case 6, 7, 8, 9:
		f.rollout()
	case 10, 11, 12:
		f.verb(nothing, "retire", "--ignore", "history", "--yes")
	case 13, 14, 15, 16:
		f.round()
	default:
		f.byOthers()
	}
}

// round is all that follows from a rotation.
func (f *fleet) round() {
	f.t.Helper()
	f.rotate()
	if f.often(30) {
		f.byOthers()
	}
	f.rollOutAll()
	if f.often(30) {
		f.byOthers()
	}
	f.verb(nothing, "retire", "--ignore", "history", "--yes")
}

func (f *fleet) rotate() {
	f.t.Helper()
	args, touched := []string{"rotate", "--key-secret", keyringBase, "--yes"}, nothing
	if f.often(30) {
		args = append(args, "--new-key")
	}
	if f.often(40) {
		args, touched = append(args, "--rollout", "--workload-timeout", "4s"), everything
	}
	f.verb(touched, args...)
}

func (f *fleet) rollout() {
	f.t.Helper()
	args, touched := []string{"rollout", "--yes", "--workload-timeout", "4s"}, everything
	one := f.things[f.random.IntN(2)]
	switch f.random.IntN(6) {
	case 0:
		args, touched = append(args, one.String()), func(g *thing) bool { return g == one }
	case 1:
		args, touched = append(args, "--skip", one.String()), func(g *thing) bool { return g != one }
	case 2:
		args = append(args, "--drop-previous")
	case 3:
		args = append(args, "--max-progressing", "1")
	default:
		f.rollOutAll()
		return
	}
	f.verb(touched, args...)
}

// rollOutAll is a rollout that leaves nothing behind, if nothing disturbs it.
func (f *fleet) rollOutAll() {
	f.t.Helper()
	if f.verb(everything, "rollout", "--yes", "--workload-timeout", "4s", "--update", "--apps-have-key", f.keys().ring(f.t).KeyIDs()[0]) {
		f.checkCurrent(f.snapshot())
	}
}

// verb runs the plugin, perhaps disturbed, and checks what came of it.
func (f *fleet) verb(touched func(*thing) bool, args ...string) (undisturbed bool) {
	f.t.Helper()
	before := f.snapshot()
	switch n := f.random.IntN(10); {
	case n < 2:
		f.killed(args)
	case n < 4:
		f.disturbed(args)
	default:
		code, out := f.run(args...)
		f.ended(args, code, out, "")
		undisturbed = code < 2
	}
	f.check(before, f.snapshot(), touched)
	return undisturbed
}

func (f *fleet) ended(args []string, code int, out, how string) {
	f.t.Helper()
	f.said = out
	f.log("%s%s: exit code %d", strings.Join(args, " "), how, code)
	if code > 2 || strings.Contains(out, "internal error") {
		f.fatalf("exit code %d", code)
	}
}

// killed runs a command that dies at one of its requests, if it makes so many.
func (f *fleet) killed(args []string) {
	f.t.Helper()
	k, after := 1+f.random.IntN(50), f.often(50)
	code, out := f.runKilledAt(args, k, after)
	if f.said = out; code >= 0 {
		f.ended(args, code, out, fmt.Sprintf(", to be killed at request %d", k))
		return
	}
	f.log("%s: killed at request %d, after it %t", strings.Join(args, " "), k, after)
}

// runKilledAt gives -1 for a command that dies at its k-th request, else its exit code.
func (f *fleet) runKilledAt(args []string, k int, after bool) (code int, out string) {
	f.t.Helper()
	proxy := startProxy(f.t)
	var run *running
	started := make(chan struct{})
	pid := func() int { <-started; return run.Process.Pid }
	action := faultproxy.KillBefore(pid)
	if after {
		action = faultproxy.KillAfter(pid)
	}
	proxy.Reset(faultproxy.Nth(k, faultproxy.All(action)))
	run = start(f.plugin(proxyKubeconfig(f.t, proxy), args...))
	close(started)
	code, out = run.ended(f.t)
	settle(f.t, proxy)
	return code, out
}

// disturbed runs a command of which one request meets a fault.
func (f *fleet) disturbed(args []string) {
	f.t.Helper()
	proxy, k := startProxy(f.t), 1+f.random.IntN(30)
	action := []faultproxy.Action{faultproxy.ResetBefore(), faultproxy.Status(500, nil, nil), faultproxy.StatusAfter(504, nil)}[f.random.IntN(3)]
	rule := faultproxy.All(action)
	if f.often(50) {
		k, rule = 1+k%4, faultproxy.Writes(action)
	}
	proxy.Reset(faultproxy.Nth(k, rule))
	out, err := f.plugin(proxyKubeconfig(f.t, proxy), args...).CombinedOutput()
	settle(f.t, proxy)
	f.ended(args, exitCode(f.t, err), string(out), fmt.Sprintf(", a fault at request or write %d", k))
}

// changeValue gives an entry another value in the .env.
func (f *fleet) changeValue() {
	f.changed++
	env := filepath.Join(f.dir, ".env")
	entry := fmt.Sprintf("SECRET_%02d", f.random.IntN(len(tokenBases)))
	was := f.values[entry]
	f.values[entry] = fmt.Sprintf("another-value-%d", f.changed)
	write(f.t, env, strings.Replace(string(read(f.t, env)), entry+"="+was+"\n", entry+"="+f.values[entry]+"\n", 1))
	f.log("another value of %s", entry)
}

// changeForm puts the entries into a bundle or takes them out of it, or has an entry more or
// one less in a bundle.
func (f *fleet) changeForm() {
	f.t.Helper()
	env := filepath.Join(f.dir, ".env")
	was, extra := string(read(f.t, env)), "SECRET_03="+f.values[extraEntry]+"\n"
	_, has := f.values[extraEntry]
	switch more := f.bundle && f.often(60); {
	case more && has && f.snapshot()["secret/secret-03"] == nil:
		delete(f.values, extraEntry)
		write(f.t, env, strings.Replace(was, extra, "", 1))
		f.log("%s leaves the .env", extraEntry)
	case more && !has:
		f.changed++
		f.values[extraEntry] = fmt.Sprintf("another-value-%d", f.changed)
		write(f.t, env, was+extraEntry+"="+f.values[extraEntry]+"\n")
		f.log("%s comes into the .env", extraEntry)
	case f.bundle:
		f.bundle = false
		write(f.t, env, strings.Replace(was, "FERNET_BUNDLE="+bundleBase+"\n", "", 1))
		f.log("no bundle any more")
	default:
		f.place = f.bundled()
		f.log("a bundle")
	}
	f.verb(nothing, "push", "--update", "--drop-entries")
}

// byOthers is what people do past the plugin.
func (f *fleet) byOthers() {
	f.t.Helper()
	before, ok := f.snapshot(), false
	g := f.things[f.random.IntN(len(f.things))]
	switch f.random.IntN(6) {
	case 0, 1:
		ok = f.write(g, g.manifests[f.random.IntN(len(g.manifests))])
		f.log("%s: an old manifest by %s: %t", g, g.apply, ok)
	case 2:
		ok = f.write(g, f.current(before))
		f.log("%s: a new manifest by %s: %t", g, g.apply, ok)
	case 3:
		f.said, ok = f.kubectl("", "rollout", "undo", g.String())
		f.log("rollout undo of %s: %t", g, ok)
	case 4:
		f.said, ok = f.kubectl("", "scale", f.things[1].String(), fmt.Sprintf("--replicas=%d", f.random.IntN(3)))
		f.log("scale of %s: %t", f.things[1], ok)
	case 5:
		f.addReference(f.things[f.random.IntN(2)], before)
	}
	f.forget(before, f.snapshot())
}

// addReference adds a reference to a Deployment by hand, to any generation that is there.
func (f *fleet) addReference(g *thing, s snapshot) {
	var there []string
	for key := range s {
		if name, isSecret := strings.CutPrefix(key, "secret/"); isSecret && baseOf(name) != "" {
			there = append(there, name)
		}
	}
	slices.Sort(there)
	f.changed++
	name := there[f.random.IntN(len(there))]
	list, item := "/spec/template/spec/volumes", jsonObject{"name": fmt.Sprintf("by-hand-%d", f.changed), "secret": jsonObject{"secretName": name}}
	if f.often(50) {
		list, item = "/spec/template/spec/containers/0/envFrom", jsonObject{"secretRef": jsonObject{"name": name}}
	}
	add := jsonObject{"op": "add", "path": list + "/-", "value": item}
	said, ok := f.kubectl("", "patch", g.String(), "--type=json", "-p", asJSON([]any{add}))
	if !ok { // there is no such list
		add = jsonObject{"op": "add", "path": list, "value": []any{item}}
		said, ok = f.kubectl("", "patch", g.String(), "--type=json", "-p", asJSON([]any{add}))
	}
	f.said, g.byHand = said, true
	f.log("%s: %s added by hand to %s: %t", g, name, list, ok)
}

// putInOrder does all that is left to people, and asserts that the verbs do the rest.
func (f *fleet) putInOrder() {
	f.t.Helper()
	f.log("in order:")
	f.orderly(0, "push", "--update", "--drop-entries")
	f.orderly(1, "rotate", "--key-secret", keyringBase, "--yes")
	newest := f.current(f.snapshot())
	for _, g := range f.things {
		broken := g.broken
		g.broken, g.mentions = false, false
		if f.forms && g.patchable() && (g.byHand || f.namesOtherForm(g, newest)) {
			f.mustKubectl("", "delete", g.String(), "--cascade=foreground") // an apply would add to its lists
			g.applied = nil
		}
		if !g.patchable() {
			kind := map[bool]string{true: "widgets." + f.group, false: g.kind}[g.kind == "Widget"]
			f.mustKubectl("", "delete", kind, g.name, "--ignore-not-found")
			g.applied = nil
		}
		if g.kind != "Job" && g.kind != "ConfigMap" && !f.write(g, newest) {
			f.fatalf("%s: %s", g, f.said)
		}
		if broken { // the rolling update of a StatefulSet does not replace such pods
			f.mustKubectl("", "delete", "pod", "--selector", "app="+g.name)
		}
	}
	f.orderly(0, "rollout", "--update", "--yes", "--workload-timeout", "2m", "--apps-have-key", f.keys().ring(f.t).KeyIDs()[0])
	f.awaitOldPods()
	f.orderly(0, "retire", "--ignore", "history", "--yes")
	s := f.snapshot()
	f.checkCurrent(s)
	left := slices.Sorted(maps.Keys(s))
	left = slices.DeleteFunc(left, func(key string) bool { return !strings.HasPrefix(key, "secret/") || key == "secret/"+somebodys })
	want := slices.Compact(slices.Sorted(maps.Values(f.current(s))))
	if n := map[bool]int{true: 1, false: len(f.values)}[f.bundle]; len(left) != len(want) || len(want) != n+1 {
		f.fatalf("LEFT OVER: %v, where the newest are %v", left, want)
	}
	if k := f.keys(); k.previous != nil || k.next != "" {
		f.fatalf("LEFT OVER: an older key in the .env")
	}
}

// namesOtherForm says whether a thing names a Secret of ours of another form than these.
func (f *fleet) namesOtherForm(g *thing, current secretNames) bool {
	bases := map[string]bool{"": true}
	for _, name := range current {
		bases[baseOf(name)] = true
	}
	for _, name := range places(podOf(g.String(), f.snapshot()[g.String()])) {
		if !bases[baseOf(name)] {
			return true
		}
	}
	return false
}

// orderly runs a command that has to end with at most this exit code.
func (f *fleet) orderly(most int, args ...string) {
	f.t.Helper()
	code, out := f.run(args...)
	f.ended(args, code, out, "")
	if code > most {
		f.fatalf("exit code %d", code)
	}
}

// awaitOldPods waits until no pod names an older generation.
func (f *fleet) awaitOldPods() {
	f.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		s, old := f.snapshot(), ""
		newest := s.newest()
		for key, o := range s {
			for _, name := range places(podOf(key, o)) {
				if base := baseOf(name); strings.HasPrefix(key, "pod/") && base != "" && newest[base] != name {
					old = key + " names " + name
				}
			}
		}
		switch {
		case old == "":
			return
		case time.Now().After(end):
			f.fatalf("a minute later %s", old)
		}
	}
}
