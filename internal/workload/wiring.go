// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
)

// Wiring is what containers of a pod template are to have: the current Secrets, the keyring
// and, if asked for, fernet-exec before their command. As a Change it adds what is missing
// and takes nothing away.
type Wiring struct {
	Containers []string // globs over names; none: the only container, or the default one
	Tokens     []Tokens
	Keyring    string // a Secret; empty: the Pods get the key in another way
	MountPath  string // of one projected volume; empty: all goes into the environment
	Exec       *Exec  // nil: the command stays
	Next       Next   // tells older generations; nil: there are none
}

// Tokens is a current Secret, and how long the token under each of its data keys is.
type Tokens struct {
	Secret string
	Length map[string]int
}

// Exec puts fernet-exec before the command of a container.
type Exec struct {
	Image   string   // empty: the template has it already
	Volume  bool     // the image is mounted; else an init container copies fernet-exec out of it
	Command []string // of a container whose manifest names none
}

// Fitting is what a wiring adds to a workload.
type Fitting struct {
	Older   []string // Secrets that are named instead of their current generation
	Own     []string // variables that a container sets itself, over those of a Secret: "container app, SECRET_A"
	Keyless []string // containers of which nothing says where they have a key

	added       corev1.PodTemplateSpec // and nothing else
	steps, back []operation
}

// Unchanged says that all is there.
func (f Fitting) Unchanged() bool { return len(f.steps) == 0 }

// Fit says what a workload lacks. An error says why it cannot get it.
func (g *Wiring) Fit(w Workload) (Fitting, error) {
	wiring := *g
	if g.MountPath != "" {
		wiring.MountPath = path.Clean(g.MountPath)
	}
	f := fitter{Wiring: &wiring, at: w.Kind.pointer(), template: w.Template.DeepCopy()}
	var err error
	if f.chosen, err = f.choose(); err != nil {
		return Fitting{}, err
	}
	for _, s := range f.chosen {
		if err := f.fit(s); err != nil {
			return Fitting{}, fmt.Errorf("%s: %w", s, err)
		}
	}
	if err := f.install(); err != nil {
		return Fitting{}, err
	}
	slices.Sort(f.Older)
	f.Older = slices.Compact(f.Older)
	slices.Reverse(f.back)
	return f.Fitting, nil
}

// Patch returns the steps, for the generation that w is of.
func (g *Wiring) Patch(w Workload) []byte {
	f, err := g.Fit(w)
	if err != nil || f.Unchanged() {
		return nil
	}
	return encode(append([]operation{{"test", "/metadata/generation", w.Generation}}, f.steps...))
}

// Back returns the patch that takes away again what Patch adds.
func (g *Wiring) Back(w Workload) []byte {
	f, err := g.Fit(w)
	if err != nil || f.Unchanged() {
		return nil
	}
	return encode(f.back)
}

// Compare says Applied where nothing is missing now.
func (g *Wiring) Compare(w, now Workload) Sight {
	before, _ := g.Fit(w) // one that does not fit has no steps
	after, err := g.Fit(now)
	switch {
	case err == nil && after.Unchanged():
		return Applied
	case err == nil && bytes.Equal(encode(before.steps), encode(after.steps)):
		return Untouched
	default:
		return Otherwise
	}
}

// Stale looks at the generation.
func (g *Wiring) Stale(w, now Workload) bool { return now.Generation != w.Generation }

// Reverted says whether something is missing again. Who made it so is taken to be the last
// field manager beside ours.
func (g *Wiring) Reverted(now Workload) (reverted bool, manager string) {
	f, err := g.Fit(now)
	if err == nil && f.Unchanged() {
		return false, ""
	}
	var last *metav1.Time
	for _, e := range now.ManagedFields {
		if e.Subresource == "" && e.Manager != manifest.FieldManager && (last == nil || last.Before(e.Time)) {
			last, manager = e.Time, e.Manager
		}
	}
	return true, manager
}

// Fragment gives what was added as a part of the manifest of such a workload.
func (f Fitting) Fragment(kind Kind) map[string]any {
	part := plain(f.added)
	way := steps(kind.pointer())
	for _, field := range slices.Backward(way) {
		part = map[string]any{field: part}
	}
	return part.(map[string]any) // the JSON form of a struct
}

// plain gives the JSON form of a value without what is empty.
func plain(value any) any {
	text, err := json.Marshal(value)
	var form any
	if err == nil {
		err = json.Unmarshal(text, &form)
	}
	if err != nil {
		panic("an API type always has a JSON form: " + err.Error())
	}
	return pruned(form)
}

func pruned(form any) any {
	switch at := form.(type) {
	case map[string]any:
		for name, value := range at {
			inner, isObject := pruned(value).(map[string]any)
			if value == nil || isObject && len(inner) == 0 {
				delete(at, name)
			}
		}
	case []any:
		for _, item := range at {
			pruned(item)
		}
	}
	return form
}
