// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cli"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// What a command has to do with the outside. A fault of something that a command does not
// use leaves it as it is.
const (
	usesServer = "the API server"
	usesWrites = "writes to the API server"
	usesEnv    = "the .env"
	usesLedger = "the ledger"
	usesRows   = "rows that it writes"
	usesKeys   = "keys"
	usesConfig = "the kubeconfig"
	usesStdout = "stdout"
	usesFiles  = "files that it locks or writes"
)

// leakVerb is a command, and what it finds.
type leakVerb struct {
	args    string // ID is the id of KEY
	prepare string // steps before it
	uses    []string
	code    int // of a run without a fault
}

var (
	offline = []string{usesStdout}
	reads   = []string{usesServer, usesEnv, usesLedger, usesKeys, usesConfig, usesStdout, usesFiles}
	sends   = append(slices.Clone(reads), usesWrites)
	records = append(slices.Clone(sends), usesRows)
)

const deployLine = "kubectl create deployment web --image app --replicas 0"

// leakVerbs are all commands.
var leakVerbs = []leakVerb{
	{"push", "", records, 0},
	{"push --update", "push; change", records, 0},
	{"rotate --yes", "push; rotate --prepare --yes", records, 0},
	{"rollout --yes --no-wait --force --apps-have-key ID", "push; " + deployLine + "; kubectl set env deployment/web --from=secret/secret-00; rotate --yes", sends, 0},
	{"wire deployment/web --yes --no-wait", "push; " + deployLine, sends, 0},
	{"retire --skip-cluster-check --ignore history --yes", "push; rotate --yes", records, 0},
	{"restore", "push; delete", records, 0},
	{"adopt secret-00", "push; kubectl label secret secret-00 app.kubernetes.io/managed-by-", records, 0},
	{"status", "push", slices.DeleteFunc(slices.Clone(reads), func(what string) bool { return what == usesKeys }), 0},
	{"verify", "push", reads, 0},
	{"diff", "push; change", reads, 1},
	{"diff --show-values --yes", "push; change", reads, 1},
	{"pull --force --yes --from cluster", "push; change", reads, 0},
	{"pull --out pulled.env", "push", []string{usesEnv, usesLedger, usesKeys, usesStdout, usesFiles}, 0},
	{"reveal SECRET_00 --from cluster", "push", reads, 0},
	{"exec-env --from cluster -- env", "push", reads, 0},
	{"lint", "", []string{usesEnv}, 0},
	{"init --match SECRET*", "", []string{usesEnv, usesStdout, usesFiles}, 0},
	{"init --env new.env", "", []string{usesStdout, usesFiles}, 0},
	{"keygen", "", offline, 0},
	{"rbac --for push", "", []string{usesEnv, usesStdout}, 0},
	{"policy", "", offline, 0},
	{"version", "", offline, 0},
	{"completion bash", "", offline, 0},
	{"options", "", offline, 0},
	{"help push", "", offline, 0},
	{"__complete reveal SECRET", "push", []string{usesLedger, usesKeys, usesStdout, usesFiles}, 0},
}

// reveals says that stdout may show a value or a key.
func (v leakVerb) reveals() bool {
	words := strings.Fields(v.args)
	return cli.MayReveal[words[0]] || cli.MayReveal[strings.Join(words[:min(2, len(words))], " ")]
}

// completes says that the command is the shell's, which asks what could be typed.
func completes(v leakVerb) bool { return strings.HasPrefix(v.args, "__complete") }

func (v leakVerb) has(what string) bool { return what == "" || slices.Contains(v.uses, what) }

// place makes what the command finds, with canaries of its own.
func (v leakVerb) place(t *testing.T) place {
	t.Helper()
	p, w := newPlace(t, 0), newWriter(rand.Text())
	text := "KEY=" + w.key() + "\n"
	if !strings.Contains(v.prepare, "rotate") { // which makes a second key itself
		text += "KEY_PREVIOUS=" + w.key() + "\n"
	}
	for _, name := range []string{"SECRET_00", "SECRET_01"} {
		p.values[name] = `<"` + w.password() + `\` + w.password()
		text += name + "='" + p.values[name] + "'\n"
	}
	write(t, filepath.Join(p.dir, ".env"), text)
	p.prepare(v.prepare)
	return p
}

// leakCell is a command that meets a fault.
type leakCell struct {
	command leakVerb
	fault   leakFault
	level   string // of -v
	n       int
}

func (c leakCell) String() string { return c.command.args + "/" + c.fault.name }

// applies says that the command uses what the fault is about, and has its flag.
func (c leakCell) applies() bool {
	if c.fault.flag != "" {
		cmd, _, err := cli.Command().Find(strings.Fields(c.command.args))
		if err != nil || cmd.Flags().Lookup(c.fault.flag) == nil {
			return false
		}
	}
	return c.command.has(c.fault.of) && (c.fault.unless == nil || !c.fault.unless(c.command))
}

// Every command meets every fault, with canaries in the values and the keys, at the highest
// verbosity and above it. No six bytes in a row of a canary are in what it says, in its
// ledger, in a file that it left, in a request, or in what it gave another program. Of the
// faults of something that a command does not use one is tried too: it changes nothing.
func TestTrustLeaks(t *testing.T) {
	levels, ran, shown := []string{"9", "10", "99"}, map[string]bool{}, &sync.Map{}
	var cells []leakCell
	shared, secrets := make([]place, len(leakVerbs)), make([][]corev1.Secret, len(leakVerbs))
	for i, verb := range leakVerbs {
		ran[strings.Fields(verb.args)[0]] = true
		shared[i] = verb.place(t)
		secrets[i] = shared[i].secrets()
		apart := map[string]bool{}
		for j, fault := range leakFaults {
			c := leakCell{verb, fault, levels[(i+j)%len(levels)], i*len(leakFaults) + j}
			if !c.applies() {
				if fault.flag != "" || fault.unless != nil || apart[fault.of] {
					continue
				}
				apart[fault.of] = true
			}
			cells = append(cells, c)
		}
	}
	checkEveryVerbRan(t, ran)
	t.Run("cells", func(t *testing.T) {
		for _, c := range cells {
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				p := shared[c.n/len(leakFaults)]
				if c.fault.lands && c.command.has(usesWrites) {
					p = c.command.place(t)
				}
				c.run(t, p, shown)
			})
		}
	})
	for _, fault := range leakFaults {
		if _, was := shown.Load(fault.name); fault.shown != "" && !was && !testkube.InPart(t) {
			t.Errorf("%s: no command says %q", fault.name, fault.shown)
		}
	}
	for i, p := range shared {
		if !reflect.DeepEqual(p.secrets(), secrets[i]) {
			t.Errorf("%s: a fault that lets nothing land let something land", leakVerbs[i].args)
		}
	}
	testkube.Cases(t, len(cells))
}

// leakRun is one run, in a copy of a place.
type leakRun struct {
	*testing.T
	leakCell
	place
	proxy          *faultproxy.Proxy
	answered       atomic.Bool // the proxy answered as the fault is
	kubeconfig     string
	before         []string // a program that runs it
	args, flags    []string
	env            []string
	stdout, stderr bytes.Buffer
	out            *os.File // in place of stdout
	home           string   // and TMPDIR
	strace         string   // the log, if it is traced
	planted        []string // files in which a canary stands, as the fault is
	forbidden      []string // values and keys
	code           int
}

func (c leakCell) run(t *testing.T, p place, shown *sync.Map) {
	t.Helper()
	r := &leakRun{T: t, leakCell: c, place: p, proxy: startProxy(t), home: t.TempDir(), planted: []string{".env", "pulled.env", "new.env", ".env.fernet-tmp"}}
	r.kubeconfig = proxyKubeconfig(t, r.proxy)
	r.t, r.dir = t, t.TempDir()
	for _, name := range []string{".env", ledgerName} {
		if text := read(t, filepath.Join(p.dir, name)); text != nil {
			write(t, filepath.Join(r.dir, name), string(text))
		}
	}
	r.forbidden = r.canaries()
	r.args = strings.Fields(strings.ReplaceAll(c.command.args, "ID", keyID(t, r.dir)))
	applies := c.applies()
	c.fault.arrange(r)
	if !applies {
		t.Logf("it does not use %s", c.fault.of)
	}
	r.start()
	if strings.Contains(r.stderr.String(), c.fault.shown) {
		shown.Store(c.fault.name, true)
	}
	r.met(applies)
	r.forbidden = append(r.forbidden, r.canaries()...) // a rotation made a key
	r.look()
}

func keyID(t *testing.T, dir string) string {
	t.Helper()
	ring, err := decrypt.ParseKeys(keysOf(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	return ring.KeyIDs()[0]
}

// canaries are the values, and the keys that the folder has now.
func (r *leakRun) canaries() (all []string) {
	for _, value := range r.values {
		all = append(all, value)
	}
	for _, name := range []string{".env", "new.env", "pulled.env"} {
		all = append(all, keyText.FindAllString(string(read(r.T, filepath.Join(r.dir, name))), -1)...)
	}
	return all
}

// value and key are the canaries that faults plant.
func (r *leakRun) value() string { return r.values["SECRET_00"] }
func (r *leakRun) key() string   { return r.forbidden[len(r.forbidden)-1] }

// start runs the command to its end.
func (r *leakRun) start() {
	r.Helper()
	args := slices.Concat([]string{"kubectl-fernet", "-v", r.level}, r.flags)
	if r.command.has(usesServer) {
		args = append(args, "-n", r.namespace)
	}
	args = slices.Concat(r.before, args, r.args)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = r.dir
	cmd.Env = slices.Concat(os.Environ(), []string{"KUBECONFIG=" + r.kubeconfig, "HOME=" + r.home, "TMPDIR=" + r.home}, r.env)
	cmd.Stdout, cmd.Stderr = &r.stdout, &r.stderr
	if r.out != nil {
		cmd.Stdout = r.out
	}
	r.code = codeOf(cmd.Run())
}

// met asserts that the command met its fault, or that one that it cannot meet changed nothing.
func (r *leakRun) met(applies bool) {
	r.Helper()
	hit := r.code != r.command.code
	switch {
	case !applies && hit, r.fault.harmless && hit:
		r.Errorf("exit code %d, want %d\n%s", r.code, r.command.code, &r.stderr)
	case !applies, r.fault.harmless, completes(r.command): // which keeps quiet about all that is wrong
	case r.fault.hit != nil:
		if !r.fault.hit(r) {
			r.Errorf("exit code %d, and it did not meet its fault\n%s", r.code, &r.stderr)
		}
	case !hit:
		r.Errorf("exit code %d although: %s\n%s", r.code, r.fault.name, &r.stderr)
	}
}

// look looks for the canaries everywhere.
func (r *leakRun) look() {
	r.Helper()
	tokens := slices.Concat(r.forbidden, tokensOf(r.T, r.dir))
	noRunOf(r.T, "stderr", r.stderr.String(), tokens)
	if !r.command.reveals() {
		noRunOf(r.T, "stdout", r.stdout.String(), tokens)
	}
	for _, dir := range []string{r.dir, r.home} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || slices.Contains(r.planted, d.Name()) {
				return err
			}
			noRunOf(r.T, "the name of a file", path, r.forbidden)
			noRunOf(r.T, d.Name(), string(cipher.ReplaceAll(read(r.T, path), nil)), r.forbidden)
			return nil
		})
		if err != nil {
			r.Error(err)
		}
	}
	if r.strace != "" {
		r.lookBelow()
	}
	for _, q := range r.proxy.Requests() {
		noRunOf(r.T, "a request", fmt.Sprint(q.Path, "?", q.RawQuery, q.Header, string(cipher.ReplaceAll(q.Body, nil))), r.forbidden)
	}
}
