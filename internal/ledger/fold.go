// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Record is what the ledger knows of one token in one place: all rows that agree
// in cluster, namespace, secret and token.
type Record struct {
	Cluster, Namespace, Secret, Token string

	// What the first of the rows says, by time; Binding of the first that has one.
	Operation  Operation
	Generation int
	EnvKey     string
	KeyID      string
	Binding    string
	Disagree   bool // another of the rows says something else of it: one was edited

	State State
	// The earliest times; zero without such a row.
	FirstPlanned, FirstCreated time.Time

	uids []uidState
}

type uidState struct {
	uid   string
	state State
}

// UIDs gives, sorted, the UIDs under which the object was created and not
// deleted by us. A namespace that was lost and restored gives several.
func (r Record) UIDs() []string {
	var uids []string
	for _, u := range r.uids {
		if u.state == Created {
			uids = append(uids, u.uid)
		}
	}
	return uids
}

// Fold turns rows into records, sorted by cluster, namespace, secret and token.
// Neither the order of the rows nor duplicates matter.
//
// The rows of a record are grouped by uid. A group's state is the highest of its
// rows' (planned < failed < created < deleted); rows without a uid belong to
// every group, or are one of their own when no uid is known. The record is
// created if any group is (deleted under one uid, restored under another), else
// it has the highest state of its groups.
//
// So a plan that failed stays failed when it is tried again: the rows cannot tell
// which came first. Failed therefore says only that its generation's number may
// be given out again, by somebody who has looked at the cluster and sees no
// object there, and never that there is none. That is enough: a second try sends
// the same bytes, a create succeeds only where nothing is, and whichever of two
// creates of one name lands, the other is told so and the next run sees it.
func Fold(rows []Row) []Record {
	sorted := make([]*Row, len(rows))
	for i := range rows {
		sorted[i] = &rows[i]
	}
	slices.SortFunc(sorted, compareRows)
	var records []Record
	for start, i := 0, 1; i <= len(sorted); i++ {
		if i == len(sorted) || comparePlace(sorted[start], sorted[i]) != 0 {
			records = append(records, fold(sorted[start:i]))
			start = i
		}
	}
	return records
}

func comparePlace(a, b *Row) int {
	return cmp.Or(
		strings.Compare(a.Cluster, b.Cluster), strings.Compare(a.Namespace, b.Namespace),
		strings.Compare(a.Secret, b.Secret), strings.Compare(a.Token, b.Token))
}

// compareRows orders rows by place, then by time, then by all else: equal are
// duplicates only.
func compareRows(a, b *Row) int {
	if c := comparePlace(a, b); c != 0 {
		return c
	}
	return cmp.Or(
		a.Time.Compare(b.Time), cmp.Compare(rank[a.State], rank[b.State]), strings.Compare(a.UID, b.UID),
		cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Generation, b.Generation),
		strings.Compare(a.EnvKey, b.EnvKey), strings.Compare(a.KeyID, b.KeyID), strings.Compare(a.Binding, b.Binding))
}

// fold makes one record of the rows of one place, which are in order.
func fold(rows []*Row) Record {
	first := rows[0]
	r := Record{
		Cluster: first.Cluster, Namespace: first.Namespace, Secret: first.Secret, Token: first.Token,
		Operation: first.Operation, Generation: first.Generation, EnvKey: first.EnvKey, KeyID: first.KeyID,
	}
	var common State // of the rows without a uid
	for _, row := range rows {
		r.Disagree = r.Disagree || row.EnvKey != first.EnvKey || row.KeyID != first.KeyID || row.Binding != first.Binding
		r.Binding = cmp.Or(r.Binding, row.Binding)
		switch {
		case row.State == Planned && r.FirstPlanned.IsZero():
			r.FirstPlanned = row.Time
		case row.State == Created && r.FirstCreated.IsZero():
			r.FirstCreated = row.Time
		}
		if row.UID == "" {
			common = higher(common, row.State)
		} else {
			r.raise(row.UID, row.State)
		}
	}
	r.settle(common)
	return r
}

func higher(a, b State) State {
	if rank[a] > rank[b] {
		return a
	}
	return b
}

func (r *Record) raise(uid string, state State) {
	i, found := slices.BinarySearchFunc(r.uids, uid, func(u uidState, uid string) int { return strings.Compare(u.uid, uid) })
	if !found {
		r.uids = slices.Insert(r.uids, i, uidState{uid: uid})
	}
	r.uids[i].state = higher(r.uids[i].state, state)
}

// settle adds to each uid what the rows without one say, and sums up.
func (r *Record) settle(common State) {
	if len(r.uids) == 0 {
		r.State = common
	}
	for i := range r.uids {
		u := &r.uids[i]
		u.state = higher(u.state, common)
		if r.State != Created {
			r.State = higher(r.State, u.state)
		}
		if u.state == Created {
			r.State = Created
		}
	}
}

// Conflicts finds the names under which two tokens or more were created and not
// deleted, given records as Fold sorts them. Only one can be there: a GET decides.
func Conflicts(records []Record) [][]Record {
	var conflicts [][]Record
	var same []Record
	for i, r := range records {
		if i > 0 && (r.Cluster != records[i-1].Cluster || r.Namespace != records[i-1].Namespace || r.Secret != records[i-1].Secret) {
			same = nil
		}
		if r.State != Created {
			continue
		}
		switch same = append(same, r); len(same) {
		case 1:
		case 2:
			conflicts = append(conflicts, same)
		default:
			conflicts[len(conflicts)-1] = same
		}
	}
	return conflicts
}
