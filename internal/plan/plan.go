// SPDX-License-Identifier: Apache-2.0

// Package plan decides, as data, what a run writes: in go the wanted entries
// (names only), what the cluster and the ledger hold, and a judge that knows the
// keyring; out come decisions. It is pure: no plaintext type, no key, no file,
// no network.
package plan

import (
	"fmt"
	"maps"
	"slices"

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

// Wanted is an entry of the .env that is to be in the cluster.
type Wanted struct {
	EnvKey, Base string
	Line         int
}

// Decision is what push does with one entry in one namespace.
type Decision struct {
	Outcome State
	// Row names what the decision is about. With Created it is the row to send:
	// without a token it has to be sealed first, with one (Resend) its bytes are
	// already in the ledger and go out again as they are.
	Row    ledger.Row
	Resend bool
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
	// Reason explains every outcome that needs somebody to act.
	Reason string
}

// View is what is known of one namespace of one cluster.
type View struct {
	Cluster, Namespace string
	Objects            []manifest.Object // live Secrets, at least those under wanted base names
	Records            []ledger.Record   // of this cluster and namespace, evidence and hints
	Past               *ledger.Past      // what the ledger has of deleted Secrets there
	Gone               []manifest.Object // were being deleted and vanished while we waited

	Older  map[string]bool // ids of keys that are older than KEY, by the ledger's evidence
	Ledger string          // the ledger's file, for reasons
	Edits  []ledger.Edit   // its edited rows about this namespace
	Ignore []string        // ids of keys whose rows hold nothing back
}

// NewView gives a view of what a look at a cluster has found. A record of which one
// object was retired counts as created only while another one is there.
func NewView(cluster, namespace string, records []ledger.Record, past *ledger.Past, objects, gone []manifest.Object) View {
	uids := map[[3]string]string{}
	for _, o := range objects {
		uids[[3]string{o.Name, o.EnvKey, o.Token}] = o.UID
	}
	observed := make([]ledger.Record, len(records))
	for i, r := range records {
		observed[i] = r.Observed(uids[[3]string{r.Secret, r.EnvKey, r.Token}])
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
	for i := range view.Objects {
		o := &view.Objects[i]
		if k := byBase[o.Base]; k != nil {
			k.live[o.Generation] = o
			k.top = max(k.top, o.Generation)
		}
	}
	for _, o := range view.Gone {
		if k := byBase[o.Base]; k != nil {
			k.top = max(k.top, o.Generation)
		}
	}
	for _, r := range view.Records {
		base, generation := names.Split(r.Secret)
		k := byBase[base]
		switch {
		case k == nil:
		case r.Hint:
			k.hints[generation] = append(k.hints[generation], r)
		default:
			k.records[generation] = append(k.records[generation], r)
			k.top = max(k.top, generation)
		}
	}
	return byBase
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

// recordsThat says whether a record of an object's name has exactly its token,
// under its data key.
func recordsThat(r ledger.Record, o manifest.Object) bool {
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
		Secret:     names.Secret(k.want.Base, generation),
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
		if o.Token != r.Token && !slices.Contains(r.UIDs(), o.UID) && !recordedElsewhere(view.Records, o) {
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
	return slices.ContainsFunc(records, func(r ledger.Record) bool { return !r.Hint && r.Secret == o.Name && r.Token == o.Token })
}

// InterestOf gives the interest in a namespace of which the ledger has these
// records and this past. Hints are of no interest, as what they name may not exist,
// but for those of wanted names under the keys that a run ignores: it goes past rows,
// and never past what is there.
func InterestOf(records []ledger.Record, past *ledger.Past, wanted []Wanted, ignored []string) manifest.Interest {
	in := manifest.Interest{Bases: make(map[string]int, len(wanted)), Names: map[string]bool{}}
	for _, w := range wanted {
		in.Bases[w.Base] = max(past.Known(w.Base), 1)
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
