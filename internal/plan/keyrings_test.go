// SPDX-License-Identifier: Apache-2.0

package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// naming is a Deployment that takes its environment from these Secrets.
func naming(name string, secrets ...string) workload.Workload {
	w := workload.Workload{Kind: workload.Deployment, Name: name}
	c := corev1.Container{Name: "app"}
	for _, secret := range secrets {
		c.EnvFrom = append(c.EnvFrom, corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}})
	}
	w.Template.Spec.Containers = []corev1.Container{c}
	return w
}

// finished is a Job that never runs again.
func finished(secrets ...string) workload.Workload {
	w := naming("once", secrets...)
	w.Kind, w.Finished = workload.Job, true
	return w
}

// taking is a Deployment of which one place takes a data key from a Secret.
func taking(place, secret, key string) workload.Workload {
	w := naming("web")
	spec, at := &w.Template.Spec, corev1.LocalObjectReference{Name: secret}
	items := []corev1.KeyToPath{{Key: key, Path: "x"}}
	env := []corev1.EnvVar{{Name: "X", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: at, Key: key}}}}
	switch place {
	case "env":
		spec.Containers[0].Env = env
	case "init":
		spec.InitContainers = []corev1.Container{{Env: env}}
	case "volume":
		spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret, Items: items}}}}
	case "projected":
		source := corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: at, Items: items}}
		spec.Volumes = []corev1.Volume{{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{}, source}}}}}
	}
	return w
}

func TestKeyringBases(t *testing.T) {
	entries := []plan.Wanted{{EnvKey: "FERNET-KEY-OF-B", Base: "b"}}
	for _, tt := range []struct {
		name string
		held []plan.Keyring
		list []workload.Workload
		more []string
		want string
	}{
		{name: "nothing", want: "fernet-key"},
		{name: "said", more: []string{"ring"}, want: "fernet-key ring"},
		{name: "held", held: []plan.Keyring{{Name: "ring-g2", Base: "ring"}}, want: "fernet-key ring"},
		{name: "an entry's", held: []plan.Keyring{{Name: "b-g2", Base: "b"}}, want: "fernet-key"},
		{name: "env", list: []workload.Workload{taking("env", "ring-g1", "FERNET_KEY")}, want: "fernet-key ring"},
		{name: "env of an init container", list: []workload.Workload{taking("init", "ring-g1", "FERNET_KEY_PREVIOUS")}, want: "fernet-key ring"},
		{name: "volume", list: []workload.Workload{taking("volume", "ring-g1", "FERNET_KEY")}, want: "fernet-key ring"},
		{name: "projected volume", list: []workload.Workload{taking("projected", "ring-g1", "FERNET_KEY")}, want: "fernet-key ring"},
		{name: "another data key", list: []workload.Workload{taking("env", "ring-g1", "KEY")}, want: "fernet-key"},
		{name: "no generation", list: []workload.Workload{taking("env", "ring", "FERNET_KEY")}, want: "fernet-key"},
		{name: "all of a Secret", list: []workload.Workload{naming("web", "ring-g1")}, want: "fernet-key"},
	} {
		if got := strings.Join(slices.Sorted(maps.Keys(plan.KeyringBases(tt.held, tt.list, entries, tt.more...))), " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestUsers(t *testing.T) {
	got := plan.Users([]workload.Workload{naming("web", "a", "b", "a"), naming("db", "a"), finished("a", "c")})
	if text := fmt.Sprint(got); text != "map[a:[deployment/web deployment/db] b:[deployment/web]]" {
		t.Error(text)
	}
}

// What is named and not shown is ours by its name alone: an entry's or a retired one's, or
// a keyring's.
func TestAbsent(t *testing.T) {
	_, past := bookOf(list(row(3, ledger.Deleted, current))).At("c", "ns")
	view := situation{objects: objects(live(2, current))}.view()
	view.Past = past
	used := plan.Users([]workload.Workload{naming("web", "secret-a", "secret-a-g2", "secret-a-g7", "secret-z", "ring", "ring-g1", "ring-g2", "fernet-key-g1")})
	tokens, rings := plan.Absent(view, secretA, map[string]bool{"ring": true}, used)
	if got := fmt.Sprint(slices.Sorted(maps.Keys(tokens)), slices.Sorted(maps.Keys(rings))); got != "[secret-a secret-a-g7] [ring-g1 ring-g2]" {
		t.Error(got)
	}
	if tokens, _ = plan.Absent(view, nil, nil, used); fmt.Sprint(slices.Sorted(maps.Keys(tokens))) != "[secret-a secret-a-g7]" || tokens["secret-a"].EnvKey != "" {
		t.Errorf("of a retired entry: %v", tokens)
	}
}

func TestKeyringStatus(t *testing.T) {
	ring := func(generation int, serves bool) plan.Keyring {
		return plan.Keyring{Name: fmt.Sprintf("ring-g%d", generation), Base: "ring", Generation: generation, KeyID: "k-new", Serves: serves}
	}
	for _, tt := range []struct {
		name string
		held []plan.Keyring
		used []string
		gone []string
		want string
	}{
		{name: "nothing"},
		{"it serves", []plan.Keyring{ring(1, true)}, []string{"ring-g1"}, nil, "ring g1 k-new current used by deployment/web"},
		{"nobody uses it", []plan.Keyring{ring(1, true)}, nil, nil, "ring g1 k-new current"},
		{"it does not serve", []plan.Keyring{ring(1, false)}, []string{"ring-g1"}, nil, "ring g1 k-new rollout used by deployment/web"},
		{"it does not serve, and nobody uses it", []plan.Keyring{ring(1, false)}, nil, nil, "ring g1 k-new retire"},
		{"an older one is used", []plan.Keyring{ring(1, true), ring(2, true)}, []string{"ring-g1"}, nil, "ring g2 k-new rollout older ring-g1 k-new[deployment/web]"},
		{"an older one is used, and the newest does not serve", []plan.Keyring{ring(1, true), ring(2, false)}, []string{"ring-g1"}, nil, "ring g2 k-new rollout older ring-g1 k-new[deployment/web]"},
		{"an older one is not used", []plan.Keyring{ring(1, false), ring(2, true)}, []string{"ring-g2"}, nil, "ring g2 k-new retire used by deployment/web older ring-g1 k-new[]"},
		{"one that is used is gone", []plan.Keyring{ring(2, true)}, []string{"ring-g1"}, []string{"ring-g1"}, "ring g2 k-new broken gone ring-g1[deployment/web]"},
		{"all is gone", nil, []string{"ring-g1"}, []string{"ring-g1"}, "ring none broken gone ring-g1[deployment/web]"},
	} {
		look := plan.Look{Used: plan.Users([]workload.Workload{naming("web", tt.used...)}), Gone: map[string]plan.Wanted{}}
		for _, name := range tt.gone {
			look.Gone[name] = plan.Wanted{Base: "ring"}
		}
		var out []string
		for _, s := range plan.KeyringStatus("ns", tt.held, look) {
			s.EnvKey = s.Name()
			text := writtenStatus(s)
			for _, g := range s.Gone {
				text += fmt.Sprintf(" gone %s%v", g.Secret, g.UsedBy)
			}
			out = append(out, text)
		}
		if got := strings.Join(out, "; "); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// A keyring comes back under its name only if nothing shows that it held other keys.
func TestKeyringGeneration(t *testing.T) {
	entries := []plan.Wanted{{Base: "secret-a"}, {Base: "secret-b"}}
	underKey := func(secret string) bool { return secret == "secret-a" || secret == "secret-a-g2" }
	for _, tt := range []struct {
		name  string
		named []string
		list  []workload.Workload
		want  string
	}{
		{"its tokens are under KEY", []string{"ring-g2"}, []workload.Workload{naming("web", "ring-g2", "secret-a-g2")}, "2 true"},
		{"no tokens", []string{"ring-g2"}, []workload.Workload{naming("web", "ring-g2", "other")}, "2 true"},
		{"one of its tokens is not", []string{"ring-g2"}, []workload.Workload{naming("web", "ring-g2", "secret-a-g2", "secret-b")}, "3 false"},
		{"one of another workload is not", []string{"ring-g2"}, []workload.Workload{naming("web", "ring-g2"), naming("db", "secret-b")}, "2 true"},
		{"of two workloads one has an older token", []string{"ring-g2"}, []workload.Workload{naming("web", "ring-g2", "secret-a"), naming("db", "secret-b", "ring-g2")}, "3 false"},
		{"what has ended does not count", []string{"ring-g2"}, []workload.Workload{naming("web", "ring-g2"), finished("ring-g2", "secret-b")}, "2 true"},
		{"two generations", []string{"ring-g10", "ring-g2"}, []workload.Workload{naming("web", "ring-g2"), naming("db", "ring-g10")}, "11 false"},
	} {
		generation, same := plan.KeyringGeneration(tt.named, tt.list, entries, underKey)
		if got := fmt.Sprint(generation, " ", same); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestOlderKeyring(t *testing.T) {
	held := []plan.Keyring{{Base: "ring", Generation: 2}, {Base: "other", Generation: 9}}
	for name, want := range map[string]bool{"ring-g1": true, "ring-g2": false, "ring-g3": false, "ring": false, "third-g1": false} {
		if got := plan.OlderKeyring(held, name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// Two projects of one namespace are no rotation that was interrupted.
func TestUnfinishedIsOfOneProject(t *testing.T) {
	view := situation{objects: objects(live(1, current, born(1)), of("b", live(1, previous, born(2))))}.view()
	since := plan.Since(nil, view.Objects)
	for _, tt := range []struct {
		held string
		want string
	}{
		{"", "current current"}, {"k-new", "current current"}, {"k-new k-old", "unfinished current"},
	} {
		items := plan.StatusOf(view, anyName, plan.Look{Since: since})
		plan.MarkUnfinished(items, since, func(id string) bool { return slices.Contains(strings.Fields(tt.held), id) })
		if got := fmt.Sprint(items[0].State, " ", items[1].State); got != tt.want {
			t.Errorf("with %q: %s, want %s", tt.held, got, tt.want)
		}
	}
}

// A template that names what is gone is broken, whatever else is true of the entry.
func TestBrokenStatus(t *testing.T) {
	for _, tt := range []struct {
		name              string
		rows              []ledger.Row
		gone              map[string]plan.Wanted
		want              string
		lost, never, over bool
	}{
		{name: "an older one", gone: map[string]plan.Wanted{"secret-a": secretA[0]}, want: "SECRET_A g2 k-new broken"},
		{name: "the newest", rows: list(row(3, ledger.Created, "k-new/x")), gone: map[string]plan.Wanted{"secret-a-g3": secretA[0]}, want: "SECRET_A g2 k-new broken", lost: true},
		{name: "a newer one that the ledger has not", gone: map[string]plan.Wanted{"secret-a-g3": secretA[0]}, want: "SECRET_A g2 k-new broken", lost: true},
		{name: "never there", gone: map[string]plan.Wanted{"secret-b": {EnvKey: "SECRET_B", Base: "secret-b"}}, want: "SECRET_B none broken", never: true},
		{name: "retired", gone: map[string]plan.Wanted{"secret-b": {Base: "secret-b"}}, want: " none broken", over: true},
	} {
		view := situation{objects: objects(live(2, current)), records: records(tt.rows...)}.view()
		items := plan.StatusOf(view, anyName, plan.Look{Gone: tt.gone})
		s := items[len(items)-1]
		if got := writtenStatus(s); got != tt.want || s.NeedsRestore() != tt.lost || s.NeverThere() != tt.never || s.Retired() != tt.over {
			t.Errorf("%s: %s, lost %t, never there %t, retired %t", tt.name, got, s.NeedsRestore(), s.NeverThere(), s.Retired())
		}
	}
}
