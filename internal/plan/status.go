// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// Status is what can be said of one entry, or of the keyring Secrets of one base name, in
// one namespace without a key. What is ours is told from the ledger's tokens, and else
// from the labels, which prove nothing.
type Status struct {
	Namespace  string     `json:"namespace"`
	EnvKey     string     `json:"envKey"`
	Keyring    string     `json:"keyring,omitempty"` // the base name of keyring Secrets, which have no entry
	Bundle     string     `json:"bundle,omitempty"`  // the base name of a bundle
	Entries    []Entry    `json:"entries,omitempty"` // of the bundle
	Secret     string     `json:"secret"`            // the current generation
	Generation int        `json:"generation"`
	KeyID      string     `json:"keyID"`
	KeySince   *time.Time `json:"keySince,omitempty"`   // when this key was first used here
	ValueSince *time.Time `json:"valueSince,omitempty"` // the token's time, which a rotation keeps
	UsedBy     []string   `json:"usedBy"`
	Older      []Older    `json:"older"`
	Gone       []Gone     `json:"gone"`
	State      State      `json:"state"`
	Missing    bool       `json:"missing,omitempty"` // the ledger has a newer generation than the namespace
	OverAge    []string   `json:"overAge"`           // key, value
	Future     []string   `json:"future"`            // key, value: what no clock that is nearly right can have written

	base     string
	recorded bool // the ledger has its current token
}

// Entry is one entry of a bundle.
type Entry struct {
	EnvKey     string     `json:"envKey"`
	ValueSince *time.Time `json:"valueSince,omitempty"` // the token's time
}

// Name is what the entry, the bundle or the keyring is called.
func (s Status) Name() string { return cmp.Or(s.EnvKey, s.Bundle, s.Keyring, s.base) }

// NeedsRestore says of what is broken that a restore is what puts it back: the newest generation
// is gone, and with it what could take its place.
func (s Status) NeedsRestore() bool {
	newer := slices.ContainsFunc(s.Gone, func(g Gone) bool {
		_, generation := names.Split(g.Secret)
		return generation > s.Generation
	})
	switch {
	case s.State != Broken:
		return false
	case s.Keyring != "":
		return s.Secret == ""
	default:
		return s.Missing || s.Secret != "" && newer
	}
}

// NeverThere says of a broken entry of the .env that no generation of it is known.
func (s Status) NeverThere() bool {
	return s.State == Broken && s.EnvKey+s.Bundle != "" && s.Secret == "" && !s.Missing
}

// Retired says of what is broken that all of it was retired, or left the .env.
func (s Status) Retired() bool { return s.State == Broken && s.EnvKey+s.Bundle+s.Keyring == "" }

// NeedsUpdate says that what names another generation has another value too: it follows only
// where the user lets it.
func (s Status) NeedsUpdate() bool {
	return slices.ContainsFunc(s.Older, func(o Older) bool { return o.OtherValue && len(o.UsedBy) > 0 }) ||
		slices.ContainsFunc(s.Gone, func(g Gone) bool { return g.OtherValue })
}

// Older is an older generation that is still there, and why.
type Older struct {
	Secret     string   `json:"secret"`
	KeyID      string   `json:"keyID"`
	UsedBy     []string `json:"usedBy"`
	OtherValue bool     `json:"otherValue,omitempty"` // the current generation has another, says the ledger
}

// Gone is a generation that is not there, and that something names.
type Gone struct {
	Secret     string   `json:"secret"`
	UsedBy     []string `json:"usedBy"`
	OtherValue bool     `json:"otherValue,omitempty"` // as Older.OtherValue
}

// Look is what was seen beside the Secrets.
type Look struct {
	Used  map[string][]string  // by Secret: what names it
	Gone  map[string]Wanted    // Secrets of ours that are named and are not there
	Since map[string]time.Time // by key id: when it was first used
}

// Since says when each key id was first used, by the ledger, else by the oldest
// object under it.
func Since(recorded map[string]time.Time, objects []manifest.Object) map[string]time.Time {
	since := map[string]time.Time{}
	for _, o := range objects {
		if was, ok := since[o.KeyID]; o.KeyID != "" && !o.Created.IsZero() && (!ok || o.Created.Before(was)) {
			since[o.KeyID] = o.Created
		}
	}
	maps.Copy(since, recorded)
	return since
}

// StatusOf gives the entries of a namespace, by base name. mine says which base names are
// this project's.
func StatusOf(view View, mine func(base string) bool, look Look) []Status {
	bases := map[string]Wanted{}
	for _, w := range look.Gone {
		bases[w.Base] = w
	}
	for _, o := range view.Objects {
		if mine(o.Base) && o.Token != "" && o.Managed { // what else is ours the evidence has
			bases[o.Base] = Wanted{EnvKey: o.EnvKey, Base: o.Base}
		}
	}
	for _, r := range view.Records {
		if base, _ := names.Split(r.Secret); mine(base) && r.State == ledger.Created && !r.Hint {
			bases[base] = Wanted{EnvKey: r.EnvKey, Base: base}
		}
	}
	wanted := slices.SortedFunc(maps.Values(bases), func(a, b Wanted) int { return strings.Compare(a.Base, b.Base) })
	byBase := index(view, wanted)
	items := make([]Status, 0, len(wanted))
	for _, w := range wanted {
		items = append(items, byBase[w.Base].status(look))
	}
	return items
}

// newStatus is that of something of which nothing is there.
func newStatus(namespace string) Status {
	return Status{Namespace: namespace, State: Current, UsedBy: []string{}, Older: []Older{}, Gone: []Gone{}, OverAge: []string{}, Future: []string{}}
}

func (k *known) status(look Look) Status {
	s := newStatus(k.view.Namespace)
	if s.EnvKey = k.want.EnvKey; k.want.Bundle() && k.isBundle() {
		s.Bundle = k.want.Base
	}
	for _, g := range k.generations() {
		o, live := k.object(g)
		switch {
		case s.Secret == "" && !live:
			s.State = k.absent(g, s.State)
		case !live, !k.ours(o):
		case s.Secret == "":
			s.Secret, s.Generation, s.KeyID = o.Name, g, k.keyID(o)
			s.UsedBy = append(s.UsedBy, look.Used[o.Name]...)
			_, s.recorded = k.record(o)
			s.setValueSince(o.Placed())
		default:
			s.Older = append(s.Older, Older{Secret: o.Name, KeyID: k.keyID(o), UsedBy: append([]string{}, look.Used[o.Name]...)})
		}
	}
	s.judge(k.want.Base, look)
	k.compareValues(&s)
	if (s.State == Current || s.State == ToRetire) && k.replacedByName(s) {
		s.State = Replaced
	}
	return s
}

// compareValues finds the generations whose value is not that of the current one, as far as
// the ledger tells.
func (k *known) compareValues(s *Status) {
	o, live := k.object(s.Generation)
	current, recorded := k.record(o)
	if !live || !recorded {
		return
	}
	other := func(name string) bool {
		over := slices.Clone(k.view.Past.Over(name))
		_, generation := names.Split(name)
		for _, r := range k.records[generation] {
			over = append(over, ledger.Over{Generation: generation, Since: r.Since})
		}
		return len(over) > 0 && !slices.ContainsFunc(over, func(o ledger.Over) bool {
			return SameSince(o.Since, o.Generation, current.Since, s.Generation)
		})
	}
	for i := range s.Older {
		s.Older[i].OtherValue = other(s.Older[i].Secret)
	}
	for i := range s.Gone {
		s.Gone[i].OtherValue = other(s.Gone[i].Secret)
	}
}

// replacedByName says whether the .env wants each entry of what is shown in another Secret.
func (k *known) replacedByName(s Status) bool {
	wanted := map[string]bool{}
	for _, w := range k.view.Wanted {
		if w.Base == k.want.Base {
			return false
		}
		for _, name := range w.names() {
			wanted[name] = w.Bundle() != k.want.Bundle()
		}
	}
	lacks := slices.ContainsFunc(s.Entries, func(e Entry) bool { return !wanted[e.EnvKey] })
	return (s.Bundle != "" || wanted[s.EnvKey]) && !lacks
}

// judge completes the state by what names the generations, be they there or gone.
func (s *Status) judge(base string, look Look) {
	s.base, s.Missing = base, s.State == Missing
	if at, ok := look.Since[s.KeyID]; ok {
		s.KeySince = &at
	}
	for _, name := range slices.Sorted(maps.Keys(look.Gone)) {
		if look.Gone[name].Base == base {
			s.Gone = append(s.Gone, Gone{Secret: name, UsedBy: look.Used[name]})
		}
	}
	switch older := len(s.Older) > 0 && s.State == Current; {
	case len(s.Gone) > 0:
		s.State = Broken
	case older && slices.ContainsFunc(s.Older, func(o Older) bool { return len(o.UsedBy) > 0 }):
		s.State = ToRollOut
	case older:
		s.State = ToRetire
	}
}

// lastYear is the last one that RFC 3339, and so JSON, can write.
const lastYear = 9999

// setValueSince takes the time of a token, whose maker may have put any into it; of a
// bundle that of each entry, and of the whole the oldest.
func (s *Status) setValueSince(t token.Token) {
	for _, e := range t.Entries() {
		entry := Entry{EnvKey: e.Name}
		switch info, err := token.Parse(e.Token); {
		case err != nil:
		case info.Time.Year() > lastYear || info.Time.Year() < 0:
			s.Future = append(s.Future, "value")
		default:
			entry.ValueSince = &info.Time
			if s.ValueSince == nil || info.Time.Before(*s.ValueSince) {
				s.ValueSince = &info.Time
			}
		}
		if s.Bundle != "" {
			s.Entries = append(s.Entries, entry)
		}
	}
	s.Future = slices.Compact(s.Future)
}

// isBundle says whether something known is one of a bundle: of a Secret that was retired
// only its name is.
func (k *known) isBundle() bool {
	return len(k.live)+len(k.records) > 0 || len(k.want.Entries) > 0
}

// JudgeTimes marks what is older than a limit, if one is given, and what is from the
// future: that has no age, so it never passes.
func (s *Status) JudgeTimes(now time.Time, maxKey, maxValue time.Duration) {
	judge := func(what string, since *time.Time, limit time.Duration) {
		switch {
		case since == nil:
		case FromFuture(*since, now):
			s.Future = append(s.Future, what)
		case limit > 0 && now.Sub(*since) > limit:
			s.OverAge = append(s.OverAge, what)
		}
	}
	judge("key", s.KeySince, maxKey)
	judge("value", s.ValueSince, maxValue)
}

// absent says what it means that a generation above all live ones is not there.
func (k *known) absent(generation int, state State) State {
	for _, r := range k.records[generation] {
		switch {
		case r.State == ledger.Created:
			return Missing
		case r.State == ledger.Planned && r.Operation == ledger.Rotate && state == Current:
			state = Unfinished
		}
	}
	return state
}

func (k *known) ours(o manifest.Object) bool {
	_, recorded := k.record(o)
	return recorded || o.Managed && o.Token != ""
}

// keyID is the ledger's word where it has one, else the label's.
func (k *known) keyID(o manifest.Object) string {
	if r, ok := k.record(o); ok {
		return r.KeyID
	}
	return o.KeyID
}

// MarkUnfinished marks the entries that a rotation has not reached: those that are not
// under the key that came last. Only what is known to be one project's is compared: what
// the ledger has, or what is under a key of ours; labels alone may be another's.
func MarkUnfinished(items []Status, since map[string]time.Time, ours func(keyID string) bool) {
	var project []*Status
	var last Status
	for i := range items {
		s := &items[i]
		if s.Keyring != "" || s.Secret == "" || !s.recorded && !ours(s.KeyID) {
			continue
		}
		project = append(project, s)
		// The ledger's times are whole seconds; a higher generation came later.
		later := cmp.Or(since[s.KeyID].Compare(since[last.KeyID]), cmp.Compare(s.Generation, last.Generation))
		if last.Secret == "" || later > 0 {
			last = *s
		}
	}
	for _, s := range project {
		if s.KeyID != last.KeyID && s.State != Missing && s.State != Broken {
			s.State = Unfinished
		}
	}
}
