// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
)

// What is asserted after each step.

func (h *honest) check() {
	h.t.Helper()
	h.checkCluster()
	h.checkVerify()
	h.checkDiff()
	h.checkPulls(choose(h, h.namespaces))
	h.checkPullOfAll()
}

// checkCluster compares what is there with the model, without the plugin.
func (h *honest) checkCluster() {
	h.t.Helper()
	for _, namespace := range h.namespaces {
		list, err := h.secrets(namespace).List(context.Background(), metav1.ListOptions{})
		if err != nil {
			h.fatalf("%v", err)
		}
		if len(list.Items) != len(h.live[namespace]) {
			h.fatalf("%s has %d Secrets, want %v", namespace, len(list.Items), slices.Sorted(maps.Keys(h.live[namespace])))
		}
		for _, item := range list.Items {
			o := h.live[namespace][item.Name]
			if o == nil {
				h.fatalf("%s in %s should not be there", item.Name, namespace)
			}
			if !h.opens(o.sealed) {
				h.fatalf("the key of %s in %s is gone", item.Name, namespace)
			}
			if o.text == "" {
				o.text = whole(item)
			}
			key, err := decrypt.ParseKeys(o.key)
			if err != nil {
				h.fatalf("%v", err)
			}
			holds := map[string]string{}
			for entry, token := range item.Data {
				plain, err := key.Open(token)
				if err != nil {
					h.fatalf("%s of %s in %s: %v", entry, item.Name, namespace, err)
				}
				holds[entry] = string(plain)
			}
			if !maps.Equal(holds, o.values()) || whole(item) != o.text {
				h.fatalf("%s in %s does not hold %q", item.Name, namespace, o.value)
			}
		}
	}
}

func (h *honest) findings() (all []string, errors int) {
	add := func(code string, namespace, name string) {
		all = append(all, code+" "+name+" in "+namespace)
		if code != "FERNET014" {
			errors++
		}
	}
	for _, namespace := range h.namespaces {
		torn := map[string]bool{}
		for _, s := range h.recorded(namespace, h.created) {
			switch n := len(h.createdUnder(namespace, s.name())); {
			case n > 1 && !torn[s.name()]:
				torn[s.name()] = true
				add("FERNET013", namespace, s.name())
			case n == 1 && h.live[namespace][s.name()] == nil:
				add("FERNET006", namespace, s.name())
			}
		}
		for name, o := range h.live[namespace] {
			switch {
			case torn[name]:
				continue
			case h.knows(o.sealed) && !h.created(o.sealed):
				add("FERNET005", namespace, name)
				continue
			case !h.knows(o.sealed) && len(h.createdUnder(namespace, name)) > 0:
				add("FERNET004", namespace, name)
				continue
			case !h.knows(o.sealed):
				add("FERNET007", namespace, name)
			}
			if o.mutable {
				add("FERNET010", namespace, name)
			}
			newer := slices.ContainsFunc(slices.Collect(maps.Values(h.live[namespace])), func(other *object) bool {
				return other.entry == o.entry && other.generation > o.generation
			})
			if o.key != h.keys[0] && !newer {
				add("FERNET014", namespace, name)
			}
		}
	}
	slices.Sort(all)
	return all, errors
}

func (h *honest) checkVerify() {
	h.t.Helper()
	want, errors := h.findings()
	out := h.run(min(1, errors), "verify", "--namespaces", strings.Join(h.namespaces, ","))
	var got []string
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			h.fatalf("verify says %q", line)
		}
		got = append(got, fields[0]+" "+strings.TrimPrefix(fields[2], "secret/")+" in "+strings.TrimSuffix(fields[4], ":"))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		h.fatalf("verify finds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (h *honest) checkDiff() {
	h.t.Helper()
	code := 0
	var want, shown []string
	for _, namespace := range h.namespaces {
		if h.lost(namespace) {
			h.run(2, "diff", "-n", namespace)
		} else {
			shown = append(shown, namespace)
		}
	}
	for _, namespace := range shown {
		words, in := h.orphans(namespace), ""
		for _, entry := range h.units() {
			words = append(words, h.diffOf(namespace, entry))
		}
		if len(shown) > 1 {
			in = " in " + namespace
		}
		for _, w := range words {
			want = append(want, "secret/"+w.name+" "+w.state+in)
			if w.state != "same" && w.state != "re-encrypted" {
				code = 1
			}
		}
	}
	if len(want) > 0 {
		h.compare(want, h.run(code, "diff", "--all", "--namespaces", strings.Join(shown, ",")))
	}
}

// entryCount is what push says of a bundle.
var entryCount = regexp.MustCompile(` \(\d+ entr(y|ies)\)`)

// compare compares lines, in whatever order.
func (h *honest) compare(want []string, out string) {
	h.t.Helper()
	got := slices.Sorted(strings.SplitSeq(strings.TrimSuffix(entryCount.ReplaceAllString(out, ""), "\n"), "\n"))
	slices.Sort(want)
	if !slices.Equal(got, want) {
		h.fatalf("it says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// fromLedger gives what was pushed last, as far as the ledger has it: it does not
// know what is there.
func (h *honest) fromLedger(namespace string) map[string]string {
	newest := map[string]*sealed{}
	for _, s := range h.recorded(namespace, h.written) {
		if was := newest[s.entry]; was == nil || s.generation > was.generation {
			newest[s.entry] = s
		}
	}
	return h.valuesOf(newest)
}

// valuesOf gives the values of tokens that all have to open: whatever was done, no
// key was given up that the current value of an entry needs.
func (h *honest) valuesOf(newest map[string]*sealed) map[string]string {
	values := map[string]string{}
	for _, s := range newest {
		if !h.opens(s) {
			h.fatalf("the key of %s in %s, which was never replaced, is gone", s.name(), s.namespace)
		}
		maps.Copy(values, s.values())
	}
	return values
}

// fromCluster gives what the cluster tells beside a ledger; nothing where a newer
// value was lost.
func (h *honest) fromCluster(namespace string, ledger rows) map[string]string {
	mine := h.ledger
	h.ledger = ledger
	defer func() { h.ledger = mine }()
	if h.lost(namespace) {
		return nil
	}
	newest := map[string]*sealed{}
	for _, o := range h.live[namespace] {
		if newest[o.entry] == nil || o.generation > newest[o.entry].generation {
			newest[o.entry] = o.sealed
		}
	}
	for _, s := range h.recorded(namespace, h.created) {
		if h.gone(namespace, s.entry) != nil {
			return nil
		}
	}
	return h.valuesOf(newest)
}

// checkPulls gets the values back in each way, and one by itself.
func (h *honest) checkPulls(namespace string) {
	h.t.Helper()
	for _, from := range []string{"ledger", "cluster"} {
		want := h.fromLedger(namespace)
		if from == "cluster" {
			want = h.fromCluster(namespace, h.ledger)
		}
		args := []string{"pull", "-n", namespace, "--from", from, "--out", "fresh.env"}
		if len(want) == 0 {
			h.run(2, args...)
			if read(h.t, h.file("fresh.env")) != nil {
				h.fatalf("%v wrote a file", args)
			}
			continue
		}
		h.run(0, args...)
		h.checkPulled("fresh.env", want)
		if err := os.Remove(h.file("fresh.env")); err != nil {
			h.fatalf("%v", err)
		}
		if h.random.IntN(2) == 0 {
			continue
		}
		entry := choose(h, slices.Sorted(maps.Keys(want)))
		if got := h.run(0, "reveal", entry, "-n", namespace, "--from", from); got != want[entry] {
			h.fatalf("reveal %s from the %s of %s gives %q, want %q", entry, from, namespace, got, want[entry])
		}
	}
}

// checkPullOfAll gets one file of all namespaces, if they agree.
func (h *honest) checkPullOfAll() {
	h.t.Helper()
	values, agree := map[string]string{}, true
	for _, namespace := range h.namespaces {
		for entry, value := range h.fromLedger(namespace) {
			was, seen := values[entry]
			agree = agree && (!seen || was == value)
			values[entry] = value
		}
	}
	args := []string{"pull", "--out", "fresh.env"}
	if len(values) == 0 || !agree {
		h.run(2, args...)
		return
	}
	h.run(0, args...)
	h.checkPulled("fresh.env", values)
	if err := os.Remove(h.file("fresh.env")); err != nil {
		h.fatalf("%v", err)
	}
}

// checkPulled compares a file with the values that it has to have, and with the keys.
func (h *honest) checkPulled(name string, want map[string]string) {
	h.t.Helper()
	file, _, err := envfile.ReadFile(h.file(name))
	if err != nil {
		h.fatalf("%v", err)
	}
	got := map[string]string{}
	for _, e := range file.Entries {
		if strings.HasPrefix(e.Name, "SECRET") {
			got[e.Name] = e.Value.Reveal()
		}
	}
	if !maps.Equal(got, want) {
		h.fatalf("%s has %q, want %q", name, got, want)
	}
	if e, _ := file.Lookup("KEY"); e.Value.Reveal() != h.keys[0] {
		h.fatalf("%s has another KEY", name)
	}
	if e, _ := file.Lookup("KEY_PREVIOUS"); e.Value.Reveal() != strings.Join(h.keys[1:], ",") {
		h.fatalf("%s has other previous keys", name)
	}
}
