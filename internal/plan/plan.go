// SPDX-License-Identifier: Apache-2.0

// Package plan decides, as data, what a run writes: in go the wanted entries
// (names only), what the cluster and the ledger hold, and a judge that knows the
// keyring; out come decisions. It is pure: no plaintext type, no key, no file,
// no network.
package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Keys says which keys the keyring has, by id; the first of IDs seals. Staged is
// the one that only opens because it is to seal next, empty where there is none.
type Keys interface {
	Has(id string) bool
	IDs() []string
	Staged() string
}

// Wanted is a Secret that is to be in the cluster: an entry of the .env, or a bundle of
// entries, which has no EnvKey.
type Wanted struct {
	EnvKey, Base string
	Line         int
	Entries      []string // of a bundle, in the order of the .env; none where only its base name is known
}

// Bundle says whether a bundle is wanted.
func (w Wanted) Bundle() bool { return w.EnvKey == "" }

// Name is what users call it: the entry, or the base name of the bundle.
func (w Wanted) Name() string { return cmp.Or(w.EnvKey, w.Base) }

// Secret gives the name of a generation.
func (w Wanted) Secret(generation int) string {
	if w.Bundle() {
		return names.Numbered(w.Base, generation)
	}
	return names.Secret(w.Base, generation)
}

// names gives the entries.
func (w Wanted) names() []string {
	if w.Bundle() {
		return w.Entries
	}
	return []string{w.EnvKey}
}

// Bundling gives what is wanted where these entries go into one bundle. Without a base name
// each is a Secret of its own, and without entries nothing is wanted.
func Bundling(entries []Wanted, base string) []Wanted {
	if base == "" || len(entries) == 0 {
		return entries
	}
	bundle := Wanted{Base: base, Line: entries[0].Line}
	for _, e := range entries {
		bundle.Entries = append(bundle.Entries, e.EnvKey)
	}
	return []Wanted{bundle}
}

// Decision is what push does with one entry in one namespace.
type Decision struct {
	Outcome State
	// Row names what the decision is about. With Created it is the row to send:
	// without a token it has to be sealed first, with one (Resend) its bytes are
	// already in the ledger and go out again as they are.
	Row    ledger.Row
	Resend bool
	// Entries are those that Row is sealed from, each with a token of the same value
	// where there is one.
	Entries []token.Entry
	// Changes says of a bundle what is not as in the generation that is there.
	Changes []Change
	// Stale names the entries whose value was replaced, Dropped those that the next
	// generation of a bundle would lack.
	Stale, Dropped []string
	// Complete says that Row is a created row which the ledger lacks.
	Complete bool
	// ByRow says of a superseded entry that only rows of the ledger say so: it
	// alone is held back, and nothing beside it.
	ByRow bool
	// OlderKey says of a superseded entry that the key which this keyring lacks is no
	// newer one: it was dropped too early.
	OlderKey bool
	// Adoptable says of a misplaced Secret that only its metadata is missing, as far
	// as the ledger tells.
	Adoptable bool
	// Reason explains every outcome that needs somebody to act, and Way is what the API
	// server's refusal leads to.
	Reason string
	Way    hint.Text
}

// Returned names the stale entries that the bundle has not any more: pull has no other value
// for them.
func (d Decision) Returned() []string {
	added := namesOf(d.Changes, Plus)
	return slices.DeleteFunc(slices.Clone(d.Stale), func(name string) bool { return !slices.Contains(added, name) })
}

// Change is what differs in one entry of a bundle.
type Change struct {
	Sign Sign   `json:"sign"`
	Name string `json:"name"`
}

func (c Change) String() string { return string(c.Sign) + c.Name }

// Sign says how an entry differs, as diff writes it.
type Sign string

// The signs.
const (
	Plus  Sign = "+" // the .env has it, the bundle has not
	Tilde Sign = "~" // another value
	Minus Sign = "-" // the bundle has it, the .env has not
)

// View is what is known of one namespace of one cluster.
type View struct {
	Cluster, Namespace string
	Objects            []manifest.Object // live Secrets, at least those under wanted base names
	Records            []ledger.Record   // of this cluster and namespace, evidence and hints
	Past               *ledger.Past      // what the ledger has of deleted Secrets there
	Gone               []manifest.Object // were being deleted and vanished while we waited

	Wanted []Wanted        // what the .env wants there
	Older  map[string]bool // ids of keys that are older than KEY, by the ledger's evidence
	Ledger string          // the ledger's file, for reasons
	Edits  []ledger.Edit   // its edited rows about this namespace
	Ignore []string        // ids of keys whose rows hold nothing back
}

// NewView gives a view of what a look at a cluster has found. A record of which one
// object was retired counts as created only while another one is there.
func NewView(cluster, namespace string, records []ledger.Record, past *ledger.Past, objects, gone []manifest.Object) View {
	bundles, live := map[string]bool{}, map[string]manifest.Object{}
	for _, r := range records {
		if r.Bundle() {
			bundles[r.Secret] = true
		}
	}
	objects = slices.Clone(objects)
	for i, o := range objects {
		if bundles[o.Name] && o.Binding == "" {
			objects[i] = o.AsBundle()
		}
		live[o.Name] = objects[i]
	}
	observed := make([]ledger.Record, len(records))
	for i, r := range records {
		uid := ""
		if o := live[r.Secret]; recordsThat(r, o) {
			uid = o.UID
		}
		observed[i] = r.Observed(uid)
	}
	return View{Cluster: cluster, Namespace: namespace, Objects: objects, Records: observed, Past: past, Gone: gone}
}

// known is everything known of one base name, by generation.
type known struct {
	view    View
	want    Wanted
	live    map[int]*manifest.Object // of the view
	records map[int][]ledger.Record  // evidence
	hints   map[int][]ledger.Record
	top     int // the highest generation ever seen
}

// index groups a view by base name, so that planning N entries costs N, not N².
func index(view View, wanted []Wanted) map[string]*known {
	byBase := make(map[string]*known, len(wanted))
	for _, w := range wanted {
		byBase[w.Base] = &known{
			view: view, want: w, top: view.Past.Top(w.Base),
			live: map[int]*manifest.Object{}, records: map[int][]ledger.Record{}, hints: map[int][]ledger.Record{},
		}
	}
	for _, o := range view.Objects {
		if k := byBase[o.Base]; k != nil && k.names(o.Name) {
			live := k.kind(o)
			k.live[o.Generation] = &live
			k.top = max(k.top, o.Generation)
		}
	}
	for _, o := range view.Gone {
		if k := byBase[o.Base]; k != nil && k.names(o.Name) {
			k.top = max(k.top, o.Generation)
		}
	}
	for _, r := range view.Records {
		base, generation := names.Split(r.Secret)
		k := byBase[base]
		switch {
		case k == nil || !k.names(r.Secret):
		case r.Hint:
			k.hints[generation] = append(k.hints[generation], r)
		default:
			k.records[generation] = append(k.records[generation], r)
			k.top = max(k.top, generation)
		}
	}
	return byBase
}

// names says whether a Secret's name is that of a generation: BASE-g1 is one of a bundle
// only, BASE one of a single entry only.
func (k *known) names(secret string) bool {
	_, generation := names.Split(secret)
	return secret == k.want.Secret(generation)
}

// kind gives an object as what it is wanted as: a bundle, or a single token.
func (k *known) kind(o manifest.Object) manifest.Object {
	switch {
	case k.want.Bundle():
		return o.AsBundle()
	case o.Bundle():
		o.Token = ""
	}
	return o
}

// generations lists what is known, newest first.
func (k *known) generations() []int {
	all := map[int]bool{}
	for g := range k.live {
		all[g] = true
	}
	for g := range k.records {
		all[g] = true
	}
	for g := range k.hints {
		all[g] = true
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b int) int { return b - a })
}

// object gives the live object of a generation; without one it has no name.
func (k *known) object(generation int) (o manifest.Object, live bool) {
	if at := k.live[generation]; at != nil {
		return *at, true
	}
	return manifest.Object{}, false
}

// record gives the evidence of exactly this object's token under its data key, if
// there is any.
func (k *known) record(o manifest.Object) (ledger.Record, bool) {
	for _, r := range k.records[o.Generation] {
		if recordsThat(r, o) {
			return r, true
		}
	}
	return ledger.Record{}, false
}

// recordsThat says whether a record of an object's name has exactly its token, under its
// data key. Of a bundle whose rows are not all there, the binding says it.
func recordsThat(r ledger.Record, o manifest.Object) bool {
	if r.Incomplete && o.Bundle() {
		return r.Binding == o.Binding
	}
	return r.Token == o.Token && r.EnvKey == o.EnvKey && o.Token != ""
}

// token gives the token of a live object in its place. Where its annotation is
// absent, the binding is that of the evidence; a wrong one is never overruled.
func (k *known) token(o manifest.Object) token.Token {
	t := o.Placed()
	if t.Binding == "" {
		r, _ := k.record(o)
		t.Binding = r.Binding
	}
	return t
}

// row names a generation of the entry.
func (k *known) row(generation int) ledger.Row {
	return ledger.Row{
		Operation:  ledger.Push,
		State:      ledger.Planned,
		Cluster:    k.view.Cluster,
		Namespace:  k.view.Namespace,
		Secret:     k.want.Secret(generation),
		Generation: generation,
		EnvKey:     k.want.EnvKey,
		Since:      generation,
	}
}

// SpellingError says that an entry's base name is taken by another spelling.
type SpellingError struct {
	Want      Wanted
	Namespace string
	Secret    string
	Spelling  string
}

func (e *SpellingError) Error() string {
	return fmt.Sprintf("%s: Secret %s in namespace %s holds the same name spelled %s", e.Want.EnvKey, e.Secret, e.Namespace, e.Spelling)
}

// WrongClusterError says that the cluster is not the one that the ledger knows.
type WrongClusterError struct {
	Cluster, Namespace string
	Secret             string // the object with other bytes; empty when none was found at all
	Recorded           int
}

func (e *WrongClusterError) Error() string {
	if e.Secret != "" {
		return fmt.Sprintf("cluster %q, namespace %q: Secret %s is another object, with other bytes, than the ledger recorded", e.Cluster, e.Namespace, e.Secret)
	}
	return fmt.Sprintf("cluster %q, namespace %q: none of the %d Secrets that the ledger recorded is there", e.Cluster, e.Namespace, e.Recorded)
}

// CheckCluster compares the evidence of what was created with what is live: at
// least one must be there, and none may be another object with other bytes.
func CheckCluster(view View) error {
	live := make(map[string]manifest.Object, len(view.Objects))
	for _, o := range append(slices.Clone(view.Objects), view.Gone...) {
		live[o.Name] = o
	}
	recorded, found := 0, 0
	for _, r := range view.Records {
		if r.State != ledger.Created || r.Hint {
			continue
		}
		recorded++
		o, ok := live[r.Secret]
		if !ok {
			continue
		}
		found++
		if !recordsThat(r, o) && !slices.Contains(r.UIDs(), o.UID) && !recordedElsewhere(view.Records, o) {
			return &WrongClusterError{Cluster: view.Cluster, Namespace: view.Namespace, Secret: r.Secret}
		}
	}
	if recorded > 0 && found == 0 {
		return &WrongClusterError{Cluster: view.Cluster, Namespace: view.Namespace, Recorded: recorded}
	}
	return nil
}

// recordedElsewhere says whether the ledger knows this object's bytes after
// all: two ledgers that were merged may have created rows of one name.
func recordedElsewhere(records []ledger.Record, o manifest.Object) bool {
	return slices.ContainsFunc(records, func(r ledger.Record) bool { return !r.Hint && r.Secret == o.Name && recordsThat(r, o) })
}

// InterestOf gives the interest in a namespace of which the ledger has these
// records and this past. Hints are of no interest, as what they name may not exist,
// but for those of wanted names under the keys that a run ignores: it goes past rows,
// and never past what is there.
func InterestOf(records []ledger.Record, past *ledger.Past, wanted []Wanted, ignored []string) manifest.Interest {
	in := manifest.Interest{Bases: make(map[string]int, len(wanted)), Bundles: map[string]bool{}, Names: map[string]bool{}}
	for _, w := range wanted {
		in.Bases[w.Base] = max(past.Known(w.Base), 1)
		if w.Bundle() {
			in.Bundles[w.Base] = true
		}
	}
	for _, r := range records {
		base, generation := names.Split(r.Secret)
		known, ok := in.Bases[base]
		switch {
		case r.Hint && !(ok && slices.Contains(ignored, r.KeyID)):
			continue
		case ok && !r.Hint:
			in.Bases[base] = max(known, generation)
		}
		if ok || r.State == ledger.Created {
			in.Names[r.Secret] = true
		}
	}
	return in
}

// SplitNewest parts the newest generation of each base name from the older
// ones: only the newest can keep push from going on by being deleted.
func SplitNewest(objects []manifest.Object) (newest, older []manifest.Object) {
	top := map[string]int{}
	for _, o := range objects {
		top[o.Base] = max(top[o.Base], o.Generation)
	}
	for _, o := range objects {
		if o.Generation == top[o.Base] {
			newest = append(newest, o)
		} else {
			older = append(older, o)
		}
	}
	return newest, older
}
