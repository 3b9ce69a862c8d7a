// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fernet/fernet-go"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

const (
	honestSeeds = 6  // FERNET_TEST_SEEDS takes more, FERNET_TEST_SEED takes one
	honestSteps = 12 // of each sequence
)

// Whatever people legitimately do, in whatever order, and whatever they lose: the
// verbs that look tell the truth after each step. Every third sequence has a bundle.
func TestHonestUse(t *testing.T) {
	first, last := testkube.Seeds(t, honestSeeds)
	testkube.Cases(t, honestSeeds*honestSteps)
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			newHonest(t, seed).play(honestSteps)
		})
	}
}

// honest is a folder, its namespaces, and the model of both.
type honest struct {
	t          *testing.T
	random     *rand.Rand
	seed       uint64
	dir        string
	namespaces []string
	steps      []string // so far

	entries []string // of the .env, in order
	values  map[string]string
	keys    []string // KEY, then KEY_PREVIOUS
	named   bool     // the .env has a CLUSTER_NAME
	bundle  bool     // all entries are one Secret
	ledger  rows
	live    map[string]map[string]*object // by namespace and name
	made    int                           // names and values given out
}

func newHonest(t *testing.T, seed uint64) *honest {
	h := &honest{
		bundle: seed%3 == 0,
		t:      t, random: rand.New(rand.NewPCG(seed, 0)), seed: seed, dir: t.TempDir(),
		values: map[string]string{}, keys: []string{freshKey(t)}, ledger: rows{}, live: map[string]map[string]*object{},
	}
	for range 3 {
		namespace := testkube.Namespace(t)
		h.namespaces = append(h.namespaces, namespace)
		h.live[namespace] = map[string]*object{}
	}
	for range 3 {
		h.add(h.fresh())
	}
	h.save()
	return h
}

func (h *honest) fatalf(format string, args ...any) {
	h.t.Helper()
	names := strings.NewReplacer(h.namespaces[0], "NS0", h.namespaces[1], "NS1", h.namespaces[2], "NS2")
	h.t.Fatal(names.Replace(fmt.Sprintf("FERNET_TEST_SEED=%d replays this:\n  %s\n%s\nledger:\n%s",
		h.seed, strings.Join(h.steps, "\n  "), fmt.Sprintf(format, args...), brief(read(h.t, h.file(ledgerName))))))
}

// brief gives a ledger without what nobody can read: tokens, bindings and macs.
func brief(ledger []byte) string {
	var text strings.Builder
	for line := range strings.Lines(string(ledger)) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), ",")
		if len(cells) == 14 {
			signer, _, _ := strings.Cut(strings.TrimPrefix(cells[13], "v1:"), ":")
			cells = []string{cells[1], cells[2], cells[4], cells[5], cells[8], cells[11][:min(4, len(cells[11]))], "by", signer}
		}
		text.WriteString("  " + strings.Join(cells, " ") + "\n")
	}
	return text.String()
}

// freshKey makes a key that no other test has: a copy under it anywhere in the
// cluster, which all tests share, would keep it.
func freshKey(t *testing.T) string {
	t.Helper()
	var key fernet.Key
	if err := key.Generate(); err != nil {
		t.Fatal(err)
	}
	return key.Encode()
}

func (h *honest) file(name string) string { return filepath.Join(h.dir, name) }

func (h *honest) log(format string, args ...any) {
	h.steps = append(h.steps, fmt.Sprintf(format, args...))
}

// fresh gives a name that was never used, and add an entry of it.
func (h *honest) fresh() string {
	h.made++
	return fmt.Sprintf("SECRET_%02d", h.made)
}

func (h *honest) add(entry string) {
	h.entries = append(h.entries, entry)
	h.values[entry] = h.value()
}

// value gives one that was never used, of the kinds that people have.
func (h *honest) value() string {
	h.made++
	frames := []string{"plain-%d", "two words %d", " %d # no comment ", "it's \"%d\"", "a\\n%d\\", "$HOME/%d", "line\n%d\n", "Grüße %d ✓"}
	return fmt.Sprintf(frames[h.random.IntN(len(frames))], h.made)
}

// save writes the .env with the keys of the model.
func (h *honest) save() {
	lines := h.keyLines()
	if h.named {
		lines += "CLUSTER_NAME=localkube\n"
	}
	if h.bundle {
		lines += "FERNET_BUNDLE=" + bundleBase + "\n"
	}
	for _, entry := range h.entries {
		text, err := envfile.Quote(h.values[entry])
		if err != nil {
			h.fatalf("%v", err)
		}
		lines += entry + "=" + text + "\n"
	}
	write(h.t, h.file(".env"), lines)
}

func (h *honest) keyLines() string {
	lines := "KEY=" + h.keys[0] + "\n"
	if len(h.keys) > 1 {
		lines += "KEY_PREVIOUS=" + strings.Join(h.keys[1:], ",") + "\n"
	}
	return lines
}

// run gives what the plugin says; its exit code has to be the one that the model
// expects.
func (h *honest) run(want int, args ...string) (stdout string) {
	h.t.Helper()
	cmd := exec.Command("kubectl-fernet", args...)
	cmd.Dir, cmd.Env = h.dir, append(os.Environ(), "KUBECONFIG="+testkube.Kubeconfig(h.t))
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	if code := exitCode(h.t, cmd.Run()); code != want {
		h.fatalf("%v: exit code %d, want %d\n%s%s", args, code, want, &out, &err)
	}
	return out.String()
}

func (h *honest) secrets(namespace string) corev1client.SecretInterface {
	return corev1client.NewForConfigOrDie(testkube.RESTConfig(h.t)).Secrets(namespace)
}

func choose[T any](h *honest, all []T) T { return all[h.random.IntN(len(all))] }

// fork lets two people go on from one ledger, and git join what they have.
func (h *honest) fork() {
	h.t.Helper()
	first, second := h.inner, h.inner
	putBack := func() { h.restore(h.namespaces...) }
	switch h.random.IntN(4) { // what one took away, the other one puts back
	case 0:
		h.rotate("--new-key")
		first, second = h.retire, putBack
	case 1:
		h.drop()
		first, second = h.retireNamed, putBack
	}
	h.log("two ledgers {")
	before, start := maps.Clone(h.ledger), string(read(h.t, h.file(ledgerName)))
	first()
	h.check()
	known, ours := h.ledger, string(read(h.t, h.file(ledgerName)))
	h.log("} and, from the other one, {")
	h.ledger = before
	if h.writeLedger(start); start == "" {
		_ = os.Remove(h.file(ledgerName))
	}
	second()
	h.check()
	theirs := string(read(h.t, h.file(ledgerName)))
	h.log("} joined")
	maps.Copy(h.ledger, known)
	if h.random.IntN(2) == 0 {
		ours, theirs = theirs, ours
	}
	switch _, rest, _ := strings.Cut(theirs, "\n"); {
	case ours == "":
		h.writeLedger(theirs)
	default:
		h.writeLedger(ours + rest)
	}
}

func (h *honest) writeLedger(text string) {
	if text != "" {
		write(h.t, h.file(ledgerName), text)
	}
}

// inner is what one of two people does.
func (h *honest) inner() {
	h.t.Helper()
	switch h.random.IntN(6) {
	case 0:
		h.add(h.fresh())
		h.save()
		h.push()
	case 1:
		h.change()
		h.push("--update")
	case 2:
		h.rotate()
	case 3:
		h.retire()
	case 4:
		h.restore(h.namespaces...)
	default:
		h.push()
	}
}

func (h *honest) shuffle() {
	h.t.Helper()
	header, rest, _ := strings.Cut(string(read(h.t, h.file(ledgerName))), "\n")
	if rest == "" {
		return
	}
	h.log("the ledger's rows in another order")
	lines := strings.Split(strings.TrimSuffix(rest, "\n"), "\n")
	h.random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	write(h.t, h.file(ledgerName), header+"\n"+strings.Join(lines, "\n")+"\n")
}

func (h *honest) change() {
	if len(h.entries) > 0 {
		entry := choose(h, h.entries)
		h.values[entry] = h.value()
		h.log("another value of %s", entry)
		h.save()
	}
}

// drop takes an entry out of the .env.
func (h *honest) drop() {
	if len(h.entries) > 1 && !h.bundle {
		entry := choose(h, h.entries)
		h.entries = slices.DeleteFunc(h.entries, func(e string) bool { return e == entry })
		h.log("%s leaves the .env", entry)
		h.save()
	}
}

// step does one thing.
func (h *honest) step() {
	h.t.Helper()
	switch h.random.IntN(24) {
	case 0, 1:
		h.push()
	case 2, 3:
		h.change()
		h.push("--update")
	case 4:
		h.change()
		h.push()
	case 5:
		h.add(h.fresh())
		h.log("another entry")
		h.save()
		h.push()
	case 6:
		h.drop()
	case 7:
		h.retireNamed()
	case 8, 9:
		h.rotate()
	case 10:
		h.rotate("--new-key")
	case 11, 12:
		h.retire()
	case 13:
		h.remove(false)
	case 14:
		if namespace := h.remove(h.random.IntN(3) == 0); namespace != "" {
			h.check()
			if h.random.IntN(2) == 0 {
				h.restore(namespace)
			} else {
				h.pushTo([]string{namespace}, "--same-cluster")
			}
		}
	case 15:
		if namespace := h.remove(true); namespace != "" { // and comes back under a key that was replaced meanwhile
			h.rotate("--new-key")
			h.restore(namespace)
			h.check()
			h.retire()
		}
	case 16:
		h.restoreTo()
	default:
		h.mishap()
	}
}

// mishap is what befalls files, and what is made by hand.
func (h *honest) mishap() {
	h.t.Helper()
	switch h.random.IntN(7) {
	case 0:
		h.loseLedger()
		h.check()
		h.pushTo(h.namespaces)
		if h.random.IntN(2) == 0 {
			h.check()
			h.adoptUnrecorded()
		}
	case 1:
		h.loseEnv(h.random.IntN(2) == 0)
	case 2:
		h.fork()
	case 3:
		h.shuffle()
	case 4:
		h.adopt()
	case 5:
		h.restore(h.namespaces...)
	case 6: // and what came of it is lost
		h.fork()
		h.check()
		if namespace := h.remove(h.random.IntN(2) == 0); namespace != "" {
			h.check()
			h.restore(namespace)
			if h.random.IntN(2) == 0 {
				h.check()
				h.retire()
			}
		}
	}
}

func (h *honest) play(steps int) {
	h.t.Helper()
	h.pushTo(h.namespaces[:1+h.random.IntN(2)])
	h.check()
	for range steps {
		for done := len(h.steps); len(h.steps) == done; { // not everything can be done at any time
			h.step()
		}
		h.check()
	}
}
