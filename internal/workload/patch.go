// SPDX-License-Identifier: Apache-2.0

package workload

import "encoding/json"

// operation is one step of an RFC 6902 JSON Patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value"`
}

// change is one reference that a renaming changes.
type change struct{ path, from, to string }

func (w Workload) changes(rename map[string]string) (list []change) {
	for _, r := range w.References() {
		if to := rename[r.Secret]; to != "" && to != r.Secret {
			list = append(list, change{w.Kind.pointer() + r.Pointer, r.Secret, to})
		}
	}
	return list
}

// Patch gives the JSON Patch that renames Secrets, old name to new, in all
// references of the workload: it applies only where each reference is still what
// it was. It is nil if nothing is to change.
func (w Workload) Patch(rename map[string]string) []byte {
	return patch(w.changes(rename))
}

// Back gives the patch that undoes Patch.
func (w Workload) Back(rename map[string]string) []byte {
	list := w.changes(rename)
	for i, c := range list {
		list[i].from, list[i].to = c.to, c.from
	}
	return patch(list)
}

func patch(list []change) []byte {
	if len(list) == 0 {
		return nil
	}
	var steps []operation
	for _, c := range list {
		steps = append(steps, operation{"test", c.path, c.from}, operation{"replace", c.path, c.to})
	}
	text, err := json.Marshal(steps)
	if err != nil {
		panic("strings always have a JSON form: " + err.Error())
	}
	return text
}

// Sight says how a workload looks beside what a renaming makes of it.
type Sight int

// What a workload can look like.
const (
	Untouched Sight = iota // each reference is as Patch expects it
	Repointed              // each reference is as Patch leaves it
	Otherwise              // somebody else was here
)

// Compare says how the workload looks now, in a later state, to one who wanted
// to rename references of w. Where there is nothing to rename, it is Repointed.
func (w Workload) Compare(now Workload, rename map[string]string) Sight {
	names := map[string]string{}
	for _, r := range now.References() {
		names[now.Kind.pointer()+r.Pointer] = r.Secret
	}
	before, after := 0, 0
	list := w.changes(rename)
	for _, c := range list {
		switch names[c.path] {
		case c.from:
			before++
		case c.to:
			after++
		}
	}
	switch len(list) {
	case after:
		return Repointed
	case before:
		return Untouched
	default:
		return Otherwise
	}
}
