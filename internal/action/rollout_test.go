// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// run adds a Deployment of namespace a, whose Pods read these Secrets.
func (d *desk) run(name string, secrets ...string) {
	w := workload.Workload{Kind: workload.Deployment, Namespace: "a", Name: name}
	for _, secret := range secrets {
		w.Template.Spec.Volumes = append(w.Template.Spec.Volumes, corev1.Volume{Name: secret, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret}}})
	}
	d.cluster.workloads["a"] = append(d.cluster.workloads["a"], w)
}

// reads gives the Secrets that the Pods of the workloads read, in order.
func (d *desk) reads() (secrets []string) {
	for _, w := range d.cluster.workloads["a"] {
		for _, ref := range w.References() {
			secrets = append(secrets, w.Name+" "+ref.Secret)
		}
	}
	return secrets
}

func (d *desk) rollout(ctx context.Context, verb Rollout) (findings bool, err error) {
	s, err := d.open(verb.Needs())
	if err != nil {
		return false, err
	}
	defer s.Close()
	verb.Timeout = time.Minute
	p, err := verb.Plan(ctx, s)
	if err != nil {
		return false, err
	}
	return p.Apply(ctx)
}

func (d *desk) did() (lines []string) {
	for _, e := range d.said {
		if e.Kind == Did {
			lines = append(lines, e.Text)
		}
	}
	return lines
}

func TestRollout(t *testing.T) {
	for _, tc := range []struct {
		name     string
		verb     Rollout
		mode     Mode
		secrets  []string // of the Deployment web
		want     []string // that it reads then
		findings bool
		err      string
	}{
		{name: "changed values follow when it is said", verb: Rollout{Values: true, AppsHaveKey: testKeyID(t)}, secrets: []string{"secret-a", "secret-b"}, want: []string{"web secret-a-g2", "web secret-b-g2"}},
		{name: "else they do not", verb: Rollout{AppsHaveKey: testKeyID(t)}, secrets: []string{"secret-a"}, want: []string{"web secret-a"}, findings: true},
		{name: "the Pods are not known to hold the key", verb: Rollout{Values: true}, secrets: []string{"secret-a"}, want: []string{"web secret-a"}, err: "nothing was patched: "},
		{name: "the keyring Secret goes with it", verb: Rollout{Values: true}, secrets: []string{"fernet-key-g1", "secret-a"}, want: []string{"web fernet-key-g2", "web secret-a-g2"}},
		{name: "a key that the keyring lacks", verb: Rollout{AppsHaveKey: "k00000000"}, want: nil, err: "--apps-have-key k00000000: "},
		{name: "a dry run", verb: Rollout{Values: true, AppsHaveKey: testKeyID(t)}, mode: Client, secrets: []string{"secret-a"}, want: []string{"web secret-a"}},
		{name: "a dry run of the API server", verb: Rollout{Values: true, AppsHaveKey: testKeyID(t)}, mode: Server, secrets: []string{"secret-a"}, want: []string{"web secret-a"}},
		{name: "current already", secrets: []string{"secret-a-g2"}, want: []string{"web secret-a-g2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, threeEntries, "a", "b")
			d.changeKeys()
			d.run("web", tc.secrets...)
			d.request.Mode = tc.mode
			findings, err := d.rollout(t.Context(), tc.verb)
			if findings != tc.findings || (err == nil) != (tc.err == "") || err != nil && (!strings.HasPrefix(err.Error(), tc.err) || hint.Of(err) == "") {
				t.Errorf("findings %v, %v", findings, err)
			}
			if got := d.reads(); !slices.Equal(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func testKeyID(t *testing.T) string {
	t.Helper()
	emptyFolder(t)
	put(t, DefaultEnv, "KEY="+testKey+"\n")
	return loaded(t, "", "").Project.Keys.IDs()[0]
}

// A workload that another process changes is read and planned again, a few times. What
// fails there leaves the workloads after it alone.
func TestRolloutOfWhatOthersChange(t *testing.T) {
	for changes, want := range map[int]string{0: "", 1: "", 4: "", 5: cluster.ErrStale.Error()} {
		d := newDesk(t, threeEntries, "a")
		d.changeValues()
		d.run("first", "secret-a")
		d.run("second", "secret-a")
		tries := 0
		d.cluster.patched = func(w workload.Workload, _ map[string]string) {
			if d.cluster.at = 0; w.Name == "first" {
				if tries++; tries <= changes {
					d.cluster.at, d.cluster.fault = d.cluster.writes+1, changed
				}
			}
		}
		_, err := d.rollout(t.Context(), Rollout{Values: true})
		if want == "" {
			if err != nil || tries != changes+1 || !slices.Equal(d.reads(), []string{"first secret-a-g2", "second secret-a-g2"}) {
				t.Errorf("%d changes: %v after %d patches, %q", changes, err, tries, d.reads())
			}
			continue
		}
		if !errors.Is(err, cluster.ErrStale) || tries != 5 || !slices.Equal(d.reads(), []string{"first secret-a", "second secret-a"}) || len(d.did()) > 0 {
			t.Errorf("%d changes: %v after %d patches, %q", changes, err, tries, d.reads())
		}
	}
}

// A push of nothing has no need of the cluster; the rollout after it has.
func TestRolloutAfterAPushOfNothing(t *testing.T) {
	d := newDesk(t, threeEntries, "a")
	d.changeValues()
	d.run("web", "secret-a")
	d.request.Match = []string{"NOTHING"}
	s, err := d.open(Push{}.Needs())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := Push{Update: true}.Plan(t.Context(), s)
	if err != nil || p.Apply(t.Context()) != nil {
		t.Fatal(err)
	}
	if _, err := (Rollout{Values: true}).Plan(t.Context(), s); err != nil {
		t.Error(err)
	}
}
