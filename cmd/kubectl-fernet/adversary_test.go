// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

const adversarySeeds = 8 // FERNET_TEST_SEEDS takes more, FERNET_TEST_SEED takes one

// Two projects share namespaces; somebody without a key writes the ledger and
// Secrets; then every verb runs. The half without a control plane, which plays
// thousands of histories, is internal/adversary.
func TestAdversary(t *testing.T) {
	evil, dialled := listener(t)
	first, last := testkube.Seeds(t, adversarySeeds)
	testkube.Cases(t, adversarySeeds)
	t.Run("seeds", func(t *testing.T) {
		for seed := first; seed <= last; seed++ {
			t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
				t.Parallel()
				newDuel(t, seed, evil).play()
			})
		}
	})
	if n := dialled.Load(); n > 0 {
		t.Errorf("a context that only forged rows name was dialled %d times", n)
	}
}

// listener is a cluster that nobody should ask; it counts who does.
func listener(t *testing.T) (address string, dialled *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	dialled = &atomic.Int64{}
	go func() {
		for {
			connection, err := l.Accept()
			if err != nil {
				return
			}
			dialled.Add(1)
			_ = connection.Close()
		}
	}()
	return l.Addr().String(), dialled
}

// duel is two projects, and what was done in their namespaces.
type duel struct {
	t          *testing.T
	random     *rand.Rand
	seed       uint64
	kubeconfig string
	namespaces []string
	ours       *side
	theirs     *side
	steps      []string
	old        []corev1.Secret              // that were there, for whoever puts them back
	made       map[string]map[string]string // what our project created, by namespace/name/token: its values by entry
	named      map[string]bool              // base names that a forged row names
}

// side is a folder with an .env and a ledger.
type side struct {
	dir     string
	key     string
	bundle  string // its base name; each entry is a Secret of its own where it is empty
	entries []string
	values  map[string]string
}

// bases gives the base names of the Secrets.
func (s *side) bases() (bases []string) {
	if s.bundle != "" {
		return []string{s.bundle}
	}
	for _, entry := range s.entries {
		bases = append(bases, strings.ReplaceAll(strings.ToLower(entry), "_", "-"))
	}
	return bases
}

func newDuel(t *testing.T, seed uint64, evil string) *duel {
	d := &duel{t: t, random: rand.New(rand.NewPCG(seed, 2)), seed: seed, made: map[string]map[string]string{}, named: map[string]bool{}}
	d.namespaces = []string{testkube.Namespace(t), testkube.Namespace(t)}
	config, err := clientcmd.LoadFromFile(testkube.Kubeconfig(t))
	if err != nil {
		t.Fatal(err)
	}
	config.Clusters["evil"] = &clientcmdapi.Cluster{Server: "https://" + evil, InsecureSkipTLSVerify: true}
	config.Contexts["evil"] = &clientcmdapi.Context{Cluster: "evil", AuthInfo: config.Contexts["localkube"].AuthInfo}
	config.Contexts["localkube"].Namespace = d.namespaces[0] // other tests look at default
	d.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, d.kubeconfig); err != nil {
		t.Fatal(err)
	}
	entries := []string{"SECRET_A", "SECRET_B", "SECRET_C"}
	if d.random.IntN(3) == 0 {
		entries = append(entries, "SECRET_SHARED")
	}
	ours, theirs := "", ""
	switch seed % 3 {
	case 1:
		ours = "web"
	case 2:
		theirs = "web"
	}
	d.ours = d.side(ours, entries...)
	d.theirs = d.side(theirs, "SECRET_X", "SECRET_SHARED")
	return d
}

func (d *duel) side(bundle string, entries ...string) *side {
	s := &side{dir: d.t.TempDir(), key: freshKey(d.t), bundle: bundle, entries: entries, values: map[string]string{}}
	text := "KEY=" + s.key + "\n"
	if bundle != "" {
		text += "FERNET_BUNDLE=" + bundle + "\n"
	}
	write(d.t, filepath.Join(s.dir, ".env"), text)
	for _, entry := range entries {
		d.change(s, entry)
	}
	return s
}

// change gives an entry another value, and leaves the keys as they are.
func (d *duel) change(s *side, entry string) {
	s.values[entry] = fmt.Sprintf("value %d of %s", d.random.Uint32(), entry)
	text := envOnly(d.t, filepath.Join(s.dir, ".env"), "KEY", "KEY_PREVIOUS", "FERNET_BUNDLE")
	for _, name := range s.entries {
		text += name + "='" + s.values[name] + "'\n"
	}
	write(d.t, filepath.Join(s.dir, ".env"), text)
}

func (d *duel) errorf(format string, args ...any) {
	d.t.Helper()
	names := strings.NewReplacer(d.namespaces[0], "NS0", d.namespaces[1], "NS1")
	d.t.Error(names.Replace(fmt.Sprintf("FERNET_TEST_SEED=%d replays this:\n  %s\n%s", d.seed, strings.Join(d.steps, "\n  "), fmt.Sprintf(format, args...))))
}

// answer is what the plugin said.
type answer struct {
	code           int
	stdout, stderr string
}

func (d *duel) run(s *side, args ...string) answer {
	d.t.Helper()
	cmd := exec.Command("kubectl-fernet", args...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "KUBECONFIG="+d.kubeconfig)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	a := answer{code: exitCode(d.t, cmd.Run()), stdout: out.String(), stderr: err.String()}
	d.steps = append(d.steps, fmt.Sprintf("%s: exit code %d", strings.Join(args, " "), a.code))
	if a.code < 0 || a.code > 2 || strings.Contains(a.stderr, "panic") {
		d.errorf("%v ends with %d:\n%s", args, a.code, a.stderr)
	}
	return a
}

func (d *duel) both() string { return strings.Join(d.namespaces, ",") }

func (d *duel) secrets(namespace string) corev1client.SecretInterface {
	return corev1client.NewForConfigOrDie(testkube.RESTConfig(d.t)).Secrets(namespace)
}

// there lists what is in the namespaces, and what is in kube-system, by place.
func (d *duel) there() map[string]corev1.Secret {
	d.t.Helper()
	all := map[string]corev1.Secret{}
	for _, namespace := range append(slices.Clone(d.namespaces), "kube-system") {
		list, err := d.secrets(namespace).List(context.Background(), metav1.ListOptions{})
		if err != nil {
			d.t.Fatal(err)
		}
		for _, s := range list.Items {
			all[namespace+"/"+s.Name] = s
		}
	}
	return all
}

// ring is the keyring of our .env as it is.
func (d *duel) ring() *keyring.Keyring {
	d.t.Helper()
	file, _, err := envfile.ReadFile(filepath.Join(d.ours.dir, ".env"))
	if err != nil {
		d.t.Fatal(err)
	}
	ring, err := keyring.Find(keyring.FromFile(file))
	if err != nil {
		d.t.Fatal(err)
	}
	return ring
}

func mark(s corev1.Secret) string {
	o := manifest.FromSecret(&s)
	return s.Namespace + "/" + s.Name + "/" + o.EnvKey + "/" + o.Token
}

// opened gives the values of a Secret by entry, if it is ours by proof: all of it is under
// one key, and in its place.
func opened(sealer *seal.Sealer, s corev1.Secret) (map[string]string, error) {
	whole, values := manifest.FromSecret(&s).Placed(), map[string]string{}
	if v := sealer.Judge(whole); !v.Opens || v.KeyID == "" || v.Binding != token.BindingHolds {
		return nil, fmt.Errorf("%+v", v)
	}
	for _, e := range whole.Entries() {
		value, err := sealer.Open(whole.Entry(e.Name))
		if err != nil {
			return nil, err
		}
		values[e.Name] = value.Reveal()
	}
	return values, nil
}

// note adds what our project made to the truth. Nobody meddles yet.
func (d *duel) note() {
	sealer := seal.New(d.ring(), nil)
	for _, s := range d.there() {
		d.old = append(d.old, s)
		if values, err := opened(sealer, s); err == nil {
			d.made[mark(s)] = values
		}
	}
}

// history is what both do, honestly.
func (d *duel) history() {
	for _, s := range []*side{d.ours, d.theirs} {
		d.run(s, "push", "--namespaces", d.both())
	}
	d.note()
	for range 3 + d.random.IntN(3) {
		s, namespace := d.ours, d.namespaces[d.random.IntN(2)]
		if d.random.IntN(4) == 0 {
			s = d.theirs
		}
		switch d.random.IntN(4) {
		case 0, 1:
			d.change(s, s.entries[d.random.IntN(len(s.entries))])
			d.run(s, "push", "--update", "-n", namespace)
		case 2:
			d.run(s, "rotate", "--new-key", "--yes", "--namespaces", d.both())
		default:
			d.run(s, "retire", "--yes", "--namespaces", d.both())
		}
		d.note()
	}
	d.change(d.ours, "SECRET_A") // two values that are both there
	d.run(d.ours, "push", "--update", "-n", d.namespaces[0])
	d.note()
}

// play is the history, the adversary, and then each verb.
func (d *duel) play() {
	d.history()
	if d.random.IntN(2) == 0 {
		_, rows, _ := strings.Cut(string(read(d.t, filepath.Join(d.theirs.dir, ledgerName))), "\n")
		path := filepath.Join(d.ours.dir, ledgerName)
		write(d.t, path, string(read(d.t, path))+rows)
	}
	removed := d.forge()
	meddled := d.meddle()
	d.checkVerify()
	for _, namespace := range d.namespaces { // before a verb that writes completes the ledger
		d.verb(true, "pull", "--out", "out.env", "-n", namespace)
		d.verb(true, "pull", "--from", "cluster", "--out", "out.env", "-n", namespace)
	}
	verbs := [][]string{
		{"reveal", "SECRET_A", "-n", d.namespaces[0]}, {"exec-env", "-n", d.namespaces[1], "--", "true"},
		{"status"}, {"diff"}, {"verify"}, {"push"}, {"push", "--namespaces", d.both()}, {"push", "--update", "--namespaces", d.both()},
		{"adopt", "secret-a", "-n", d.namespaces[0]}, {"adopt", "secret-b-g3", "-n", d.namespaces[1]}, {"adopt", "web-g2", "-n", d.namespaces[1]},
		{"rotate", "--yes"}, {"rotate", "--new-key", "--yes", "--namespaces", d.both()},
		{"retire", "--yes"}, {"retire", "SECRET_GONE", "--yes"}, {"restore"}, {"restore", "--namespaces", d.both()},
	}
	d.random.Shuffle(len(verbs), func(i, j int) { verbs[i], verbs[j] = verbs[j], verbs[i] })
	for _, args := range verbs {
		d.verb(removed || meddled, args...)
	}
	d.keyless()
}

// verb runs one, and holds what it did to the keys.
func (d *duel) verb(meddled bool, args ...string) {
	d.t.Helper()
	before, ring := d.there(), d.ring()
	a := d.run(d.ours, args...)
	after := d.there()
	sealer := seal.New(ring, nil)
	if args[0] == "rotate" { // the key is on disk before it is used
		sealer = seal.New(d.ring(), nil)
	}
	for at, s := range after {
		was, known := before[at]
		switch {
		case !known:
			values, err := opened(sealer, s)
			if err != nil {
				d.errorf("%v created %s, which no key of ours proves: %v\n%s", args, at, err, a.stderr)
			}
			d.made[mark(s)] = values
		case was.UID != s.UID || !maps.EqualFunc(was.Data, s.Data, bytes.Equal):
			d.errorf("%v replaced %s", args, at)
		}
	}
	for at, s := range before {
		if _, still := after[at]; still {
			continue
		}
		if _, ours := d.made[mark(s)]; !ours || args[0] != "retire" {
			d.errorf("%v deleted %s, which is none of ours\n%s", args, at, a.stderr)
		}
	}
	d.checkKeys(args, after, ring, a)
	switch {
	case args[0] == "pull":
		d.checkPulled(args, a)
	case args[0] == "push" && !meddled && len(args) > 1:
		d.checkNotStopped(a)
	}
}

// checkKeys: no key goes while something of ours that is there opens with it alone.
func (d *duel) checkKeys(args []string, after map[string]corev1.Secret, before *keyring.Keyring, a answer) {
	d.t.Helper()
	now, then := seal.New(d.ring(), nil), seal.New(before, nil)
	for at, s := range after {
		t := manifest.FromSecret(&s).Placed()
		if _, ours := d.made[mark(s)]; ours && then.Judge(t).Opens && !now.Judge(t).Opens && d.found(s) {
			d.errorf("%v dropped the key of %s\n%s%s", args, at, a.stdout, a.stderr)
		}
	}
}

// found says that a row or a label is left of a Secret: nobody can know of others.
func (d *duel) found(s corev1.Secret) bool {
	o, rows := manifest.FromSecret(&s), read(d.t, filepath.Join(d.ours.dir, ledgerName))
	return o.Managed && o.KeyID != "" || slices.ContainsFunc(o.Placed().Entries(), func(e token.Entry) bool {
		return bytes.Contains(rows, []byte(","+e.Token+","))
	})
}

// newest gives, by entry, the newest of ours that is in a namespace: its value.
func (d *duel) newest(namespace string) map[string]string {
	values, top := map[string]string{}, map[string]int{}
	for _, s := range d.there() {
		o := manifest.FromSecret(&s)
		if s.Namespace != namespace {
			continue
		}
		for entry, value := range d.made[mark(s)] {
			if o.Generation > top[entry] {
				values[entry], top[entry] = value, o.Generation
			}
		}
	}
	return values
}

// checkPulled: a value that is not the newest one comes with a word.
func (d *duel) checkPulled(args []string, a answer) {
	d.t.Helper()
	path := filepath.Join(d.ours.dir, "out.env")
	file, _, err := envfile.ReadFile(path)
	if a.code != 0 || err != nil {
		_ = os.Remove(path)
		return
	}
	for entry, value := range d.newest(args[len(args)-1]) {
		e, ok := file.Lookup(entry)
		past := slices.ContainsFunc(slices.Collect(maps.Values(d.made)), func(values map[string]string) bool { return values[entry] == e.Value.Reveal() })
		said := strings.Contains(a.stderr, "newer values") || strings.Contains(a.stderr, "newer generations") && strings.Contains(a.stderr, entry)
		if ok && past && e.Value.Reveal() != value && !said {
			d.errorf("%v gives an older value of %s without a word:\n%s", args, entry, a.stderr)
		}
	}
	if err := os.Remove(path); err != nil {
		d.t.Fatal(err)
	}
}

// checkNotStopped: forged rows hold back the entries that they name, and no other.
func (d *duel) checkNotStopped(a answer) {
	d.t.Helper()
	for _, base := range d.ours.bases() {
		if base == "secret-shared" {
			continue
		}
		name := "secret/" + base
		done := 0
		for line := range strings.Lines(a.stdout) {
			fields := strings.Fields(line)
			if is, _ := names.Split(fields[0]); is == name && slices.Contains([]string{"created", "unchanged", "differs", "stale"}, fields[1]) {
				done++
			}
		}
		if done < len(d.namespaces) && !d.named[base] {
			d.errorf("a forger who does not name %s stops it:\n%s%s", base, a.stdout, a.stderr)
		}
	}
}

// keyless restores without a key: it only creates.
func (d *duel) keyless() {
	d.t.Helper()
	env := filepath.Join(d.ours.dir, ".env")
	text := read(d.t, env)
	if err := os.Remove(env); err != nil {
		d.t.Fatal(err)
	}
	before := d.there()
	if a := d.run(d.ours, "restore", "--yes"); a.code != 2 {
		d.errorf("restore without a key takes --yes without -n: %s", a.stderr)
	}
	a := d.run(d.ours, "restore", "-n", d.namespaces[0], "--yes")
	after := d.there()
	for at, s := range before {
		if now := after[at]; now.UID != s.UID || !maps.EqualFunc(now.Data, s.Data, bytes.Equal) {
			d.errorf("restore without a key changed %s", at)
		}
	}
	for at := range after {
		if _, known := before[at]; !known && !strings.HasPrefix(at, d.namespaces[0]+"/") {
			d.errorf("restore -n created %s", at)
		}
	}
	if a.code < 2 && !strings.Contains(a.stderr, "authenticated") {
		d.errorf("restore without a key says nothing of it: %s", a.stderr)
	}
	write(d.t, env, string(text))
}

// checkVerify: edited rows are named with their line, unsigned ones counted.
func (d *duel) checkVerify() {
	d.t.Helper()
	verify := seal.New(d.ring(), nil).Ledger().Verify
	a := d.run(d.ours, "verify", "--namespaces", d.both())
	if a.code == 2 {
		d.errorf("verify: %s", a.stderr)
	}
	unsigned, firsts := 0, map[string]int{}
	lines := strings.Split(strings.TrimSuffix(string(read(d.t, filepath.Join(d.ours.dir, ledgerName))), "\n"), "\n")
	for i, line := range lines[1:] {
		cells := strings.Split(line, ",")
		at := strings.Join(cells[3:6], "/")
		switch verify(cells[:13], cells[13]) {
		case ledger.Unsigned:
			unsigned++
		case ledger.Edited:
			firsts[at] = cmp.Or(firsts[at], i+2)
		}
	}
	for at, line := range firsts {
		if !strings.Contains(a.stdout, fmt.Sprintf("%s:%d)", ledgerName, line)) {
			d.errorf("verify does not name line %d, an edited row of %s:\n%s", line, at, a.stdout)
		}
	}
	if unsigned > 0 && !strings.Contains(a.stdout, fmt.Sprintf(": %d row", unsigned)) {
		d.errorf("verify does not count %d unsigned rows:\n%s", unsigned, a.stdout)
	}
}
