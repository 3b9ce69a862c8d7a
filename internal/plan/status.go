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

// State is what status says of an entry.
type State string

// The states of an entry, the most urgent last.
const (
	StateCurrent    State = "current"
	StateRetire     State = "retire"     // older generations are still there
	StateRollout    State = "rollout"    // a workload names an older generation
	StateUnfinished State = "unfinished" // a rotation has not reached it
	StateMissing    State = "missing"    // the ledger has it, the namespace has not
)

// Status is what can be said of one entry in one namespace without a key. What
// is ours is told from the ledger's tokens, and else from the labels, which prove
// nothing.
type Status struct {
	Namespace  string     `json:"namespace"`
	EnvKey     string     `json:"envKey"`
	Secret     string     `json:"secret"` // the current generation
	Generation int        `json:"generation"`
	KeyID      string     `json:"keyID"`
	KeySince   *time.Time `json:"keySince,omitempty"`   // when this key was first used here
	ValueSince *time.Time `json:"valueSince,omitempty"` // the token's time, which a rotation keeps
	UsedBy     []string   `json:"usedBy"`
	Older      []Older    `json:"older"`
	State      State      `json:"state"`
	OverAge    []string   `json:"overAge"` // key, value
	Future     []string   `json:"future"`  // key, value: what no clock that is nearly right can have written
}

// Older is an older generation that is still there, and why.
type Older struct {
	Secret string   `json:"secret"`
	KeyID  string   `json:"keyID"`
	UsedBy []string `json:"usedBy"`
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

// StatusOf gives the entries of a namespace, by base name. used gives by Secret
// name what refers to it; mine says which base names are this project's.
func StatusOf(view View, mine func(base string) bool, used map[string][]string, since map[string]time.Time) []Status {
	bases := map[string]Wanted{}
	for _, o := range view.Objects {
		if mine(o.Base) && o.Token != "" {
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
		items = append(items, byBase[w.Base].status(used, since))
	}
	mixed(items, since)
	return items
}

func (k *known) status(used map[string][]string, since map[string]time.Time) Status {
	s := Status{Namespace: k.view.Namespace, EnvKey: k.want.EnvKey, State: StateCurrent, UsedBy: []string{}, Older: []Older{}, OverAge: []string{}, Future: []string{}}
	for _, g := range k.generations() {
		o, live := k.object(g)
		switch {
		case s.Secret == "" && !live:
			s.State = k.absent(g, s.State)
		case !live, !k.ours(o):
		case s.Secret == "":
			s.Secret, s.Generation, s.KeyID = o.Name, g, k.keyID(o)
			s.UsedBy = append(s.UsedBy, used[o.Name]...)
			s.setValueSince(o.Token)
		default:
			s.Older = append(s.Older, Older{Secret: o.Name, KeyID: k.keyID(o), UsedBy: append([]string{}, used[o.Name]...)})
		}
	}
	if at, ok := since[s.KeyID]; ok {
		s.KeySince = &at
	}
	if s.State == StateCurrent && len(s.Older) > 0 {
		s.State = StateRetire
		if slices.ContainsFunc(s.Older, func(o Older) bool { return len(o.UsedBy) > 0 }) {
			s.State = StateRollout
		}
	}
	return s
}

// lastYear is the last one that RFC 3339, and so JSON, can write.
const lastYear = 9999

// setValueSince takes the time of a token, whose maker may have put any into it.
func (s *Status) setValueSince(text string) {
	switch info, err := token.Parse(text); {
	case err != nil:
	case info.Time.Year() > lastYear || info.Time.Year() < 0:
		s.Future = append(s.Future, "value")
	default:
		s.ValueSince = &info.Time
	}
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
			return StateMissing
		case r.State == ledger.Planned && r.Operation == ledger.Rotate && state == StateCurrent:
			state = StateUnfinished
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

// mixed marks the entries that a rotation has not reached: those that are not
// under the key that came last.
func mixed(items []Status, since map[string]time.Time) {
	var last Status
	for _, s := range items {
		// The ledger's times are whole seconds; a higher generation came later.
		later := cmp.Or(since[s.KeyID].Compare(since[last.KeyID]), cmp.Compare(s.Generation, last.Generation))
		if s.Secret != "" && (last.Secret == "" || later > 0) {
			last = s
		}
	}
	for i := range items {
		if s := &items[i]; s.Secret != "" && s.KeyID != last.KeyID && s.State != StateMissing {
			s.State = StateUnfinished
		}
	}
}
