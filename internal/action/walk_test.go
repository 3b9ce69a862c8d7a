// SPDX-License-Identifier: Apache-2.0

package action

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile/faultfs"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/target"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// walkDefault is how many steps are taken where nothing else is said.
var walkDefault = 200_000

var (
	walkSteps = flag.Int("walk.steps", 0, "how many steps TestWalk takes; 0: as many as fit into a minute")
	walkSeed  = flag.Uint64("walk.seed", 0, "the one walk that TestWalk takes")
	walkFirst = flag.Uint64("walk.first", 1, "the seed of the first of many; 0: any")
)

const (
	walkLength = 30 // steps of one walk, before its end
	walkEnd    = 18 // steps that bring both projects in order
	walkTeam   = 3  // people of the first project
)

// Three people of one project with a .env and a ledger each, which they merge late, never, or
// leave with git's conflict in it, and one of another project in the same namespaces, do in
// any order what people do, and are killed anywhere; they deploy and roll out what reads the
// Secrets; Secrets are deleted by hand, creates land late, a namespace is lost; one adversary
// forges rows, another one writes Secrets. In every other walk they put their entries into a
// bundle, or into Secrets of their own again. After each step the rules of this file hold,
// and at the end whoever is honest can go on.
//
// A walk that breaks one prints its seed: -walk.seed plays it again. The seeds are the
// same each time, so that the test can fail for what was changed alone; -walk.first=0
// looks elsewhere.
func TestWalk(t *testing.T) {
	first, walks := *walkSeed, 1
	if first == 0 {
		first, walks = cmp.Or(*walkFirst, rand.Uint64N(1<<40)+1), cmp.Or(*walkSteps, walkDefault)/(walkLength+walkEnd)+1
	}
	t.Logf("%d walks from seed %d", walks, first)
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // worlds are small and many
	var next, steps atomic.Int64
	counts := make([]map[string]int, runtime.GOMAXPROCS(0))
	var group sync.WaitGroup
	for i := range counts {
		counts[i] = map[string]int{}
		dir := memoryFolder(t)
		group.Go(func() {
			for n := next.Add(1) - 1; n < int64(walks) && !t.Failed(); n = next.Add(1) - 1 {
				seed := first + uint64(n)
				w := newWalk(t, dir, rand.NewPCG(seed, 0), seed%2 == 1, counts[i])
				w.again = fmt.Sprintf("-walk.seed=%d plays this again", seed)
				w.play()
				steps.Add(int64(w.steps))
			}
		})
	}
	group.Wait()
	total := map[string]int{}
	for _, count := range counts {
		for what, n := range count {
			total[what] += n
		}
	}
	t.Logf("%d steps; %v", steps.Load(), total)
	if cmp.Or(*walkSteps, walkDefault) == 200_000 && *walkSeed == 0 {
		testkube.Cases(t, 200_000)
	}
	for _, what := range []string{"killed", "created", "landed late", "superseded", "finished", "deleted", "key dropped", "bundle created", "replaced deleted", "rolled out", "conflict", "rows of another project", "name of two projects"} {
		if walks > 1000 && total[what] == 0 {
			t.Errorf("in no walk: %s", what)
		}
	}
}

// memoryFolder gives a folder that is not on a disk, where there is such a thing.
func memoryFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "walk") //nolint:usetesting // which is on the disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// walk is a cluster, the people who use it, and what is true of both.
type walk struct {
	t       *testing.T
	again   string // says how to play this walk again
	random  *rand.Rand
	ended   func() bool // that no choices are left; nil: there are always more
	dir     string
	cluster *walkCluster
	people  []*person
	trace   []string
	count   map[string]int
	steps   int
	failed  bool

	now        *person // whose command is under way
	life       *life
	order      []string                    // the tokens, as they were sent
	plain      map[string]string           // of every token that was sent
	ids        map[string]string           // the key of every token that was sent
	bound      map[string]string           // the binding of every bundle that was sent, by the text of its tokens
	names, had map[place]map[string]bool   // the tokens that were sent under a name, and those that were there
	values     map[place]map[string]bool   // the values that were sent under a name
	keys       map[string]string           // every key, by its id
	owners     map[string]int              // the project of every key, by its id
	parsed     map[string]*keyring.Keyring // by the lines of their keys
	rings      map[place]*keyring.Keyring  // of the person who wrote last beside a base name
	others     map[place]manifest.Object   // made by others than us
	forged     map[string]bool             // lines of ledgers
	taken      []string                    // lines that were taken out of ledgers
	given      int

	keyless  bool           // a restore without a key is under way, which trusts the ledger
	unproven map[place]bool // what it created

	gone    map[string]bool // ids of keys that somebody dropped
	known   known
	removed string   // the base name of an entry that is retired altogether
	bundles bool     // people switch between single Secrets and a bundle
	follows bool     // the rollout under way may point to other values
	drops   bool     // the command under way may leave entries of a bundle out
	before  string   // the ledger as the command under way found it
	calm    bool     // nothing goes wrong any more
	ignored []string // the --ignore-key of all commands
}

// person is an operator: a folder with an .env and a ledger.
type person struct {
	name    string
	project int
	dir     string
	newer   bool // their last command said that a previous key is newer than KEY
	blocked bool // it said that something keeps a rotation from beginning
}

func (p *person) env() string    { return filepath.Join(p.dir, DefaultEnv) }
func (p *person) ledger() string { return filepath.Join(p.dir, DefaultLedger) }

// bundleLine makes one Secret of all entries of a .env.
const (
	bundleBase = "web"
	bundleLine = "FERNET_BUNDLE=" + bundleBase + "\n"
)

// walkEntries are the entries that the people of each project may have, in which one name may
// be that of both. The second project has no bundle.
var walkEntries = [][]string{{"SECRET_A", "SECRET_B", walkShared}, {"SECRET_D", "SECRET_E", walkShared}}

// walkShared is the entry that both projects may have.
const walkShared = "SECRET_C"

// team gives the people of a project.
func (w *walk) team(project int) (people []*person) {
	for _, p := range w.people {
		if p.project == project {
			people = append(people, p)
		}
	}
	return people
}

// bundled says whether a person puts their entries into a bundle.
func (w *walk) bundled(p *person) bool { return strings.Contains(w.read(p.env()), bundleLine) }

// baseFor gives the base name of the Secret that a person wants an entry in.
func (w *walk) baseFor(p *person, entry string) string {
	if w.bundled(p) {
		return bundleBase
	}
	return baseOf(entry)
}

var walkNamespaces = []string{"a", "b"}

// newWalk is a walk whose choices come from a source.
func newWalk(t *testing.T, dir string, source rand.Source, bundles bool, count map[string]int) *walk {
	w := &walk{
		t: t, random: rand.New(source), dir: dir, count: count, life: &life{}, bundles: bundles,
		plain: map[string]string{}, ids: map[string]string{}, bound: map[string]string{}, names: map[place]map[string]bool{}, had: map[place]map[string]bool{}, values: map[place]map[string]bool{}, keys: map[string]string{}, owners: map[string]int{}, parsed: map[string]*keyring.Keyring{},
		rings: map[place]*keyring.Keyring{}, others: map[place]manifest.Object{}, forged: map[string]bool{}, unproven: map[place]bool{}, gone: map[string]bool{},
	}
	w.cluster = &walkCluster{w: w, objects: map[place]manifest.Object{}, workloads: map[place]workload.Workload{}}
	for project := range walkEntries {
		w.begin(project)
	}
	return w
}

// begin gives the people of a project their .env.
func (w *walk) begin(project int) {
	key, _, err := keyring.Generate()
	w.must(err)
	env, team := "KEY="+key+"\n", 1
	for _, name := range walkEntries[project][:2] {
		env += name + "=" + w.value() + "\n"
	}
	if project == 0 {
		team = walkTeam
		if w.bundles && w.random.IntN(2) == 0 {
			env += bundleLine
		}
	}
	for range team {
		i := len(w.people)
		p := &person{name: string(rune('A' + i)), project: project, dir: filepath.Join(w.dir, strconv.Itoa(i))}
		w.must(errors.Join(os.RemoveAll(p.dir), os.Mkdir(p.dir, 0o700)))
		w.write(p.env(), env)
		w.people = append(w.people, p)
	}
}

func (w *walk) must(err error) {
	if err != nil {
		w.fail("%v", err)
	}
}

// fail ends the walk with what led there.
func (w *walk) fail(format string, args ...any) {
	if w.failed {
		return
	}
	w.failed = true
	w.t.Errorf("%s:\n  %s\n%s", w.again, strings.Join(w.trace, "\n  "), fmt.Sprintf(format, args...))
}

func (w *walk) log(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *walk) value() string {
	w.given++
	return fmt.Sprintf("v%d", w.given)
}

func (w *walk) write(path, text string) { w.must(os.WriteFile(path, []byte(text), 0o600)) }

func (w *walk) read(path string) string {
	data, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		w.must(err)
	}
	return string(data)
}

func pick[T any](w *walk, all []T) T { return all[w.random.IntN(len(all))] }

// entries gives the values of a .env.
func (w *walk) entries(p *person) map[string]string {
	values := map[string]string{}
	for _, line := range strings.Split(w.read(p.env()), "\n") {
		if name, value, ok := strings.Cut(line, "="); ok && strings.HasPrefix(name, "SECRET") {
			values[name] = value
		}
	}
	return values
}

// ring gives the keyring of a .env.
func (w *walk) ring(p *person) *keyring.Keyring {
	var lines []string
	for _, line := range strings.Split(w.read(p.env()), "\n") {
		if strings.HasPrefix(line, keyring.VarKey) {
			lines = append(lines, line)
		}
	}
	text := strings.Join(lines, "\n")
	if ring := w.parsed[text]; ring != nil {
		return ring
	}
	w.parsed[text] = w.parse(p)
	return w.parsed[text]
}

func (w *walk) parse(p *person) *keyring.Keyring {
	values := map[string]string{}
	for _, line := range strings.Split(w.read(p.env()), "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			values[name] = value
		}
	}
	others := values[keyring.VarPrevious] + "," + values[keyring.VarNext]
	file, err := envfile.Parse(p.env(), []byte(w.read(p.env())))
	w.must(err)
	ring, err := keyring.Find(keyring.FromFile(file))
	w.must(err)
	for _, text := range append(strings.Split(others, ","), values[keyring.VarKey]) {
		if one, err := keyring.Find(keyring.FromEnvironment(text, "")); err == nil {
			w.keys[one.IDs()[0]], w.owners[one.IDs()[0]] = text, p.project
		}
	}
	return ring
}

// open opens a session of a person, who lives for a number of writes; 0 is for ever.
func (w *walk) open(p *person, what string, lives int, needs Needs) (*Session, error) {
	w.now, w.life, w.before = p, &life{left: lives}, w.read(p.ledger())
	w.log("%s: %s", p.name, what)
	files := &faultfs.FS{}
	files.Before = func(call int) {
		if files.FailAt == 0 && (w.life.over() || w.life.tick()) {
			files.FailAt, files.Dies, files.Short = call, true, w.random.IntN(200)
		}
	}
	r := Request{
		Machine: On(files), Paths: Paths{Env: p.env(), Ledger: p.ledger()}, Match: []string{"SECRET*"}, Parallel: 1, Command: "kubectl fernet", Mode: Live,
		SameCluster: true, IgnoreKeys: w.ignored, Target: target.Request{Load: oneContext, Bare: oneContext, Namespaces: walkNamespaces}, Tell: func(Event) {},
	}
	r.Connect = func(*rest.Config, cluster.Trace, int) (Cluster, error) { return w.cluster, nil }
	return Open(w.t.Context(), r, needs)
}

// sent is called with each row that leaves, before it is known what comes of it.
func (w *walk) sent(row ledger.Row) {
	at := place{row.Namespace, row.Secret}
	for was := range w.had[at] { // two with unmerged ledgers may each use a name that is free
		if !w.had[at][row.Token] && !slices.Contains(w.ignored, w.ids[was]) && w.records(w.now, at, was) {
			w.fail("%s: %s/%s is sent as %s, and was there as %s\n%s", w.now.name, row.Namespace, row.Secret, w.told(row.Token), w.told(was), w.rowsOf(w.now, row.Namespace, row.Secret))
		}
	}
	if w.names[at] == nil {
		w.names[at], w.had[at] = map[string]bool{}, map[string]bool{}
	}
	w.names[at][row.Token] = true
	if n, bundle := token.BundleSize(row.Binding); bundle != row.Bundle() || bundle && n != len(row.Placed().Entries()) {
		w.fail("%s: %s/%s is sent with %d entries, and is bound to %d", w.now.name, row.Namespace, row.Secret, len(row.Placed().Entries()), n)
	}
	if w.keyless {
		w.unproven[at] = true
		return
	}
	delete(w.unproven, at)
	ring := w.ring(w.now)
	v := seal.New(ring, nil).Judge(row.Placed())
	if !v.Opens || v.Binding != token.BindingHolds {
		w.fail("%s: %s/%s is sent, and the key of %s does not prove it (R9)", w.now.name, row.Namespace, row.Secret, w.now.name)
		return
	}
	plain := w.noteTokens(row, ring)
	if w.values[at] == nil {
		w.values[at] = map[string]bool{}
	}
	w.values[at][plain] = true
	w.dropsNothing(row)
	w.sinceHolds(row)
	w.notSuperseded(row, ring)
	w.wrote(row, ring)
}

// noteTokens notes the tokens of a row that is sent, and gives its value; that of a bundle is
// a line for each entry. A Secret has tokens of one key.
func (w *walk) noteTokens(row ledger.Row, ring *keyring.Keyring) (value string) {
	at := place{row.Namespace, row.Secret}
	for _, e := range row.Placed().Entries() {
		plain, by, err := ring.Open(e.Token)
		w.must(err)
		if _, again := w.plain[e.Token]; !again {
			w.order = append(w.order, e.Token)
		}
		if w.plain[e.Token], w.ids[e.Token] = string(plain), by.ID(); by.ID() != row.KeyID {
			w.fail("%s: %s/%s says key %s, and %s is under %s", w.now.name, at.namespace, at.name, row.KeyID, e.Name, by.ID())
		}
		if value = string(plain); row.Bundle() {
			value = w.plain[row.Binding] + e.Name + "=" + string(plain) + "\n"
			w.plain[row.Binding] = value
		}
	}
	if row.Bundle() {
		delete(w.plain, row.Binding)
		w.plain[row.Token], w.ids[row.Token], w.ids[row.Binding], w.bound[row.Token] = value, row.KeyID, row.KeyID, row.Binding
	}
	return value
}

// cell gives the cell of a ledger that tells a token from others: of a bundle its binding.
func (w *walk) cell(text string) string { return cmp.Or(w.bound[text], text) }

// records says whether a ledger has a token under a name, as it stands there.
func (w *walk) records(p *person, at place, text string) bool {
	for line := range strings.Lines(w.read(p.ledger())) {
		if cells := strings.Split(line, ","); len(cells) == 14 && cells[4] == at.namespace && cells[5] == at.name && slices.Contains(cells[9:11], w.cell(text)) {
			return true
		}
	}
	return false
}

// dropsNothing: what is sent the first time has the entries of the newest bundle that is
// there and that the sender can open, but where the command may drop some, or where the
// sender has evidence of a newer one, which is gone.
func (w *walk) dropsNothing(row ledger.Row) {
	base, _ := splitName(row.Secret)
	newest, found := w.newest(row.Namespace, base)
	if !found || !row.Bundle() || w.drops || !w.ring(w.now).Has(w.ids[newest.Token]) || row.Generation < newest.Generation || strings.Contains(w.before, row.Binding) {
		return
	}
	for at, state := range w.evidence(w.now) {
		if of, generation := splitName(at.name); at.namespace == row.Namespace && of == base && state == ledger.Created && generation > newest.Generation {
			return
		}
	}
	for _, e := range newest.Placed().Entries() {
		if !slices.ContainsFunc(row.Placed().Entries(), func(has token.Entry) bool { return has.Name == e.Name }) {
			w.fail("%s: %s/%s lacks %s, which %s has", w.now.name, row.Namespace, row.Secret, e.Name, newest.Name)
		}
	}
}

// wrote notes the ring of the person who writes now to a namespace, beside each base name
// that they want or have evidence of: others are another project's. What is older than the
// newest that they can open is left behind: somebody began anew who did not know what was
// deleted by hand, or rotated while a create was on its way.
func (w *walk) wrote(row ledger.Row, ring *keyring.Keyring) {
	base, generation := splitName(row.Secret)
	opened := map[string]int{base: generation} // the newest generation, by base name
	for _, o := range w.cluster.sorted(row.Namespace) {
		if w.isOurs(o) && ring.Has(w.ids[o.Token]) {
			opened[o.Base] = max(opened[o.Base], o.Generation)
		}
	}
	for _, concerned := range append(w.concerns(w.now, row.Namespace), base) {
		w.rings[place{row.Namespace, concerned}] = ring
	}
	for at, o := range w.cluster.objects {
		if at.namespace == row.Namespace && o.Generation < opened[o.Base] && !ring.Has(w.ids[o.Token]) {
			w.unproven[at] = true
		}
	}
}

// concerns gives the base names in a namespace that are a person's: those of the .env and
// those of rows that their keys signed. Of those, whose newest rows say more than the
// cluster shows is none: their Secrets were deleted by hand, and somebody who did not know
// began anew.
func (w *walk) concerns(p *person, namespace string) []string {
	mine, highest, ring := map[string]bool{}, map[string]int{}, w.ring(p)
	for name := range w.entries(p) {
		mine[w.baseFor(p, name)] = true
	}
	for at, state := range w.evidence(p) {
		if base, generation := splitName(at.name); at.namespace == namespace && (state == ledger.Planned || state == ledger.Created) {
			mine[base] = true
			highest[base] = max(highest[base], generation)
		}
	}
	for base, generation := range highest {
		if newest, found := w.newest(namespace, base); found && newest.Generation < generation && !ring.Has(w.ids[newest.Token]) {
			delete(mine, base)
		}
	}
	return SortedKeys(mine)
}

// recorded is a token under a name, as a ledger has it; of a bundle its binding.
type recorded struct {
	place
	token string
}

// known is the last evidence, of a ring and a ledger.
type known struct {
	ring   *keyring.Keyring
	text   string
	states map[recorded]ledger.State
}

// evidence gives what the rows that a person's keys signed say, by an own reading: the
// last state in the order of the fold.
func (w *walk) evidence(p *person) map[recorded]ledger.State {
	text, ring := w.read(p.ledger()), w.ring(p)
	if w.known.ring == ring && w.known.text == text {
		return w.known.states
	}
	states := map[recorded]ledger.State{}
	w.known = known{ring, text, states}
	rank := map[ledger.State]int{ledger.Planned: 1, ledger.Failed: 2, ledger.Created: 3, ledger.Deleted: 4}
	for line := range strings.Lines(text) {
		cells := strings.Split(line, ",")
		if len(cells) != 14 || w.forged[line] {
			continue
		}
		if signer := strings.Split(cells[13], ":"); len(signer) == 3 && ring.Has(signer[1]) {
			at := recorded{place{cells[4], cells[5]}, cells[9]}
			if token.Bundled(cells[10]) {
				at.token = cells[10]
			}
			if state := ledger.State(cells[2]); rank[state] > rank[states[at]] {
				states[at] = state
			}
		}
	}
	for at, state := range states { // the name of a plan that was used up by other bytes
		for other, its := range states {
			if rank[state] < rank[ledger.Created] && its == ledger.Deleted && other.place == at.place {
				delete(states, at)
			}
		}
	}
	return states
}

// dropped: a person who dropped these keys can still open all that is live and theirs, and the
// newest value that was recorded before of each name.
func (w *walk) dropped(p *person, keys []string, before map[recorded]ledger.State) {
	for _, id := range keys {
		w.gone[id] = true
	}
	newest := map[place]recorded{}
	for at, state := range before {
		base, generation := splitName(at.name)
		is := place{at.namespace, base}
		_, highest := splitName(newest[is].name)
		if state == ledger.Created && w.evidence(p)[at] != ledger.Deleted && (newest[is].name == "" || generation > highest) {
			newest[is] = at
		}
	}
	for _, at := range newest {
		if id := w.ids[at.token]; slices.Contains(keys, id) {
			w.fail("%s dropped key %s, which %s/%s needs, the newest that was recorded", p.name, id, at.namespace, at.name)
		}
	}
	for at, o := range w.cluster.objects {
		if w.isOurs(o) && !w.unproven[at] && slices.Contains(w.concerns(p, at.namespace), o.Base) && slices.Contains(keys, w.ids[o.Token]) {
			w.fail("%s dropped key %s, which %s/%s needs", p.name, w.ids[o.Token], at.namespace, at.name)
		}
	}
}

// told says what a token holds, for somebody who reads a trace.
func (w *walk) told(text string) string {
	return fmt.Sprintf("%q under %s (…%s)", w.plain[text], w.ids[text], text[len(text)-8:])
}

// rowsOf gives the rows of a ledger about a Secret, without what nobody can read.
func (w *walk) rowsOf(p *person, namespace, secret string) (rows string) {
	for line := range strings.Lines(w.read(p.ledger())) {
		if cells := strings.Split(strings.TrimSuffix(line, "\n"), ","); len(cells) == 14 && cells[4] == namespace && cells[5] == secret {
			text := cmp.Or(cells[9], cells[10])
			rows += fmt.Sprintf("  %s: …%s\n", brief(cells), text[len(text)-8:])
		}
	}
	return rows
}

// sinceHolds: the generation that a row names as of the same value had it.
func (w *walk) sinceHolds(row ledger.Row) {
	base, _ := splitName(row.Secret)
	name := nameOf(base, row.Since)
	if row.Bundle() {
		name = names.Numbered(base, row.Since)
	}
	if had := w.values[place{row.Namespace, name}]; !had[w.plain[row.Token]] {
		w.fail("%s/%s says that it has the value of generation %d, and has not", row.Namespace, row.Secret, row.Since)
	}
}

// notSuperseded: nothing is written beside a newer Secret under a key that the writer
// lacks, or has as the next one alone (R5).
func (w *walk) notSuperseded(row ledger.Row, ring *keyring.Keyring) {
	for _, base := range w.concerns(w.now, row.Namespace) {
		newest, found := w.newest(row.Namespace, base)
		if found && !ring.Has(w.ids[newest.Token]) && !w.retiredUnder(w.now, w.ids[newest.Token]) {
			w.fail("%s writes %s/%s, and %s is under key %s (R5)\n%s", w.now.name, row.Namespace, row.Secret, newest.Name, w.ids[newest.Token], w.rowsOf(w.now, row.Namespace, base))
		}
	}
}

// retiredUnder says whether a person has evidence that something under a key was retired:
// that key was dropped on purpose, and what still appears under it burns its number.
func (w *walk) retiredUnder(p *person, id string) bool {
	for at, state := range w.evidence(p) {
		if state == ledger.Deleted && w.ids[at.token] == id {
			return true
		}
	}
	return false
}

// newest gives the newest live Secret of ours that has a base name.
func (w *walk) newest(namespace, base string) (newest manifest.Object, found bool) {
	for _, o := range w.cluster.sorted(namespace) {
		if o.Base == base && w.isOurs(o) && (!found || o.Generation > newest.Generation) {
			newest, found = o, true
		}
	}
	return newest, found
}

// isOurs says of an object what no program can know: that we made it, under this name.
func (w *walk) isOurs(o manifest.Object) bool {
	return o.Token != "" && w.names[place{o.Namespace, o.Name}][o.Token]
}

func (w *walk) landed(o manifest.Object) {
	w.count["created"]++
	if o.Bundle() {
		w.count["bundle created"]++
	}
	delete(w.others, place{o.Namespace, o.Name})
	w.had[place{o.Namespace, o.Name}][o.Token] = true
	if w.gone[w.ids[o.Token]] { // by somebody who has not heard that the key was dropped
		w.unproven[place{o.Namespace, o.Name}] = true
	}
}

// deleted: what a command deletes is ours, and no newest one of an entry that is wanted (R4).
func (w *walk) deleted(o manifest.Object) {
	w.count["deleted"]++
	if !w.isOurs(o) {
		w.fail("%s deletes %s/%s, which is not ours (R4)", w.now.name, o.Namespace, o.Name)
	}
	if id := w.ids[o.Token]; w.isOurs(o) && !w.ring(w.now).Has(id) {
		w.fail("%s deletes %s/%s, whose key %s they lack (R4)", w.now.name, o.Namespace, o.Name, id)
	}
	if user := w.cluster.user(o); user != "" {
		w.fail("%s deletes %s/%s, which %s names (R6)", w.now.name, o.Namespace, o.Name, user)
	}
	newest, _ := w.newest(o.Namespace, o.Base)
	switch {
	case newest.UID != o.UID || o.Base == w.removed:
	case w.replaced(o):
		w.count["replaced deleted"]++
	default:
		w.fail("%s deletes %s/%s, the newest one", w.now.name, o.Namespace, o.Name)
	}
}

// replaced says whether all entries of a Secret are in others, those that the person wants whose
// command is under way.
func (w *walk) replaced(o manifest.Object) bool {
	return !slices.ContainsFunc(o.Placed().Entries(), func(e token.Entry) bool {
		_, holder, found := w.holder(w.now, o.Namespace, e.Name)
		return !found || holder.UID == o.UID
	})
}

// holder gives the token of an entry in the newest of the Secrets that a person wants it in.
func (w *walk) holder(p *person, namespace, entry string) (text string, o manifest.Object, found bool) {
	o, _ = w.newest(namespace, w.baseFor(p, entry))
	for _, e := range o.Placed().Entries() {
		if e.Name == entry {
			return e.Token, o, true
		}
	}
	return "", o, false
}

// check holds the rules that hold at every moment.
func (w *walk) check() {
	for _, o := range w.cluster.objects {
		ring := w.rings[place{o.Namespace, o.Base}]
		if w.isOurs(o) && ring != nil && !w.unproven[place{o.Namespace, o.Name}] && !ring.Has(w.ids[o.Token]) {
			w.fail("%s/%s is under key %s, which the one who wrote last lacks (R6)", o.Namespace, o.Name, w.ids[o.Token])
		}
	}
	for at, was := range w.others {
		if w.cluster.objects[at].UID != was.UID {
			w.fail("%s/%s, which is not ours, was touched (R4)", at.namespace, at.name)
		}
	}
}

func (w *walk) play() {
	for w.steps = 1; w.steps <= walkLength && (w.ended == nil || !w.ended()); w.steps++ {
		w.step()
		w.check()
		if w.failed {
			return
		}
	}
	w.finish()
	w.steps += walkEnd - 1
}

// merge makes the ledger of a person that of two, as git's union does.
func (w *walk) merge(p, q *person) {
	text := w.read(p.ledger())
	if !strings.Contains(text, "\n") {
		text = w.read(q.ledger())
	} else if _, rest, ok := strings.Cut(w.read(q.ledger()), "\n"); ok {
		if !strings.HasSuffix(text, "\n") {
			text = text[:strings.LastIndex(text, "\n")+1]
		}
		have := map[string]bool{}
		for line := range strings.Lines(text) {
			have[line] = true
		}
		for line := range strings.Lines(rest) {
			if !have[line] && strings.HasSuffix(line, "\n") {
				text += line
			}
		}
	}
	if text != "" {
		w.write(p.ledger(), text)
	}
}

// finish: when all that came late is there, and the adversaries are gone with what they
// made, whoever wrote last to a namespace, with all ledgers, brings it in order.
func (w *walk) finish() {
	for len(w.cluster.late) > 0 {
		w.cluster.arrive()
	}
	for at := range w.others {
		delete(w.cluster.objects, at)
	}
	for at, o := range w.cluster.objects {
		if !w.isOurs(o) {
			delete(w.cluster.objects, at)
		}
	}
	w.others = map[place]manifest.Object{}
	w.giveWay()
	for project := range walkEntries {
		if team := w.team(project); project == 0 || !strings.Contains(w.read(team[0].ledger())+w.read(team[0].env()), walkShared) {
			w.finishProject(team)
		}
	}
}

// giveWay takes the name that both projects wanted from the second one, which cannot go on then.
func (w *walk) giveWay() {
	for at, o := range w.cluster.objects {
		if o.Base == baseOf(walkShared) && w.owners[w.ids[o.Token]] > 0 {
			delete(w.cluster.objects, at)
			w.count["name of two projects"]++
		}
	}
}

// finishProject lets whoever of a project has all of its keys bring it in order.
func (w *walk) finishProject(team []*person) {
	for _, p := range team {
		w.unforge(p)
	}
	for _, p := range team[1:] {
		w.merge(team[0], p)
	}
	for _, p := range team {
		if w.opensAll(p, w.ring(p)) {
			w.write(p.ledger(), w.read(team[0].ledger()))
			w.log("%s finishes", p.name)
			w.finishes(p)
			return
		}
	}
	w.count["nobody has all keys"]++
}

// opensAll says whether all live tokens of a person's project are under a ring's current or
// previous keys.
func (w *walk) opensAll(p *person, ring *keyring.Keyring) bool {
	for _, o := range w.cluster.objects {
		id := w.ids[o.Token]
		if w.isOurs(o) && w.owners[id] == p.project && (!ring.Has(id) || id == ring.Staged()) {
			return false
		}
	}
	return true
}

// unforge takes the forged lines out of a ledger and puts back what was taken out of it, as
// a person does who reads a diff.
func (w *walk) unforge(p *person) {
	var text strings.Builder
	for line := range strings.Lines(w.read(p.ledger())) {
		if !w.forged[line] {
			text.WriteString(line)
		}
	}
	if p.project == 0 && strings.HasSuffix(text.String(), "\n") { // whose ledgers have bundles
		text.WriteString(strings.Join(w.taken, ""))
	}
	if text.Len() > 0 {
		w.write(p.ledger(), text.String())
	}
}
