// SPDX-License-Identifier: Apache-2.0

package action

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// run adds a Deployment of namespace a, whose Pods read these Secrets.
func (d *desk) run(name string, secrets ...string) {
	d.runIn("a", name, 1, secrets...)
}

// runIn adds a Deployment, of whose one Pod so many are ready.
func (d *desk) runIn(namespace, name string, ready int32, secrets ...string) {
	d.cluster.workloads[namespace] = append(d.cluster.workloads[namespace], mounting(one(namespace, name, ready), secrets...))
}

// mounting gives a workload with a volume of each of these Secrets.
func mounting(w workload.Workload, secrets ...string) workload.Workload {
	for _, secret := range secrets {
		w.Template.Spec.Volumes = append(w.Template.Spec.Volumes, corev1.Volume{Name: secret, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret}}})
	}
	return w
}

// one is a Deployment with one Pod.
func one(namespace, name string, ready int32) workload.Workload {
	replicas := int32(1)
	w, _ := workload.Of(&appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name)}, Spec: appsv1.DeploymentSpec{Replicas: &replicas},
		Status: appsv1.DeploymentStatus{Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: ready},
	})
	return w
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
	verb.WorkloadTimeout = cmp.Or(verb.WorkloadTimeout, time.Minute)
	p, err := verb.Plan(ctx, s)
	if err != nil {
		return false, err
	}
	err = p.Apply(ctx)
	d.fates = map[string]plan.State{}
	for _, step := range p.Steps {
		d.fates[step.Workload.Name] = step.State
	}
	if p.Failed() {
		err = cmp.Or(err, errStepsFailed)
	}
	return p.Findings(), err
}

var errStepsFailed = errors.New("steps failed")

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
		{name: "the Pods are not known to hold the key", verb: Rollout{Values: true}, secrets: []string{"secret-a"}, want: []string{"web secret-a"}, err: "steps failed"},
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
			if findings != tc.findings || (err == nil) != (tc.err == "") || err != nil && (!strings.HasPrefix(err.Error(), tc.err)) {
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
// fails there holds nothing else up.
func TestRolloutOfWhatOthersChange(t *testing.T) {
	for changes, failed := range map[int]bool{0: false, 1: false, 4: false, 5: true} {
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
		_, err := d.rollout(t.Context(), Rollout{Values: true, MaxProgressing: 1})
		want, fate := []string{"first secret-a-g2", "second secret-a-g2"}, plan.RolledOut
		if failed {
			want[0], fate = "first secret-a", plan.Failed
		}
		if (err != nil) != failed || tries != min(changes+1, 5) || !slices.Equal(d.reads(), want) || d.fates["first"] != fate || d.fates["second"] != plan.RolledOut {
			t.Errorf("%d changes: %v after %d patches, %q, %v", changes, err, tries, d.reads(), d.fates)
		}
	}
}

// What fails holds nothing else up, what is unhealthy comes last, and each workload gets
// its own result.
func TestRolloutFates(t *testing.T) {
	for _, tc := range []struct {
		name     string
		verb     Rollout
		spoil    func(*desk)
		want     map[string]plan.State
		failed   bool
		findings bool
	}{
		{name: "all go", want: map[string]plan.State{"agent": plan.RolledOut, "db": plan.RolledOut, "web": plan.RolledOut}},
		{name: "admission denies one", spoil: func(d *desk) { d.cluster.denies["agent"] = errFault }, want: map[string]plan.State{"agent": plan.Denied, "db": plan.RolledOut, "web": plan.RolledOut}, failed: true},
		{name: "a dry run in doubt decides nothing", spoil: func(d *desk) { d.cluster.denies["agent"] = cluster.ErrDoubtful }, want: map[string]plan.State{"agent": plan.RolledOut, "db": plan.RolledOut, "web": plan.RolledOut}},
		{name: "after a failure nothing more, if so said", verb: Rollout{FailFast: true, MaxProgressing: 1}, spoil: func(d *desk) { d.cluster.at, d.cluster.fault = d.cluster.writes+1, refused },
			want: map[string]plan.State{"agent": plan.Failed, "db": plan.NotSent, "web": plan.NotSent}, failed: true, findings: true},
		{name: "one that was unhealthy before comes last", verb: Rollout{MaxProgressing: 1, WorkloadTimeout: time.Second}, spoil: func(d *desk) {
			d.cluster.workloads["a"] = slices.DeleteFunc(d.cluster.workloads["a"], func(w workload.Workload) bool { return w.Name == "agent" })
			d.runIn("a", "agent", 0, "secret-a")
			d.cluster.patched = func(w workload.Workload, _ map[string]string) { d.order = append(d.order, w.Name) }
		}, want: map[string]plan.State{"agent": plan.Unhealthy, "db": plan.RolledOut, "web": plan.RolledOut}, findings: true},
		{name: "one is changed back", spoil: func(d *desk) { d.cluster.reverts["db"] = true }, want: map[string]plan.State{"agent": plan.RolledOut, "db": plan.ChangedBack, "web": plan.RolledOut}, findings: true},
		{name: "those that were named", verb: Rollout{Only: []string{"deployment/web"}}, want: map[string]plan.State{"web": plan.RolledOut}},
		{name: "but for those", verb: Rollout{Skip: []string{"deployment/web"}}, want: map[string]plan.State{"agent": plan.RolledOut, "db": plan.RolledOut}},
		{name: "by a selector", verb: Rollout{Selector: labels.SelectorFromSet(labels.Set{"tier": "none"})}, want: map[string]plan.State{}},
		{name: "patched only", verb: Rollout{NoWait: true}, want: map[string]plan.State{"agent": plan.Patched, "db": plan.Patched, "web": plan.Patched}},
		{name: "one is owned", spoil: func(d *desk) { d.cluster.workloads["a"][0].Owner = "Shop/x" }, want: map[string]plan.State{"agent": plan.Left, "db": plan.RolledOut, "web": plan.RolledOut}, findings: true},
		{name: "one names what is gone too", spoil: func(d *desk) { d.run("old", "secret-a-g0", "secret-b-g7") }, want: map[string]plan.State{"agent": plan.RolledOut, "db": plan.RolledOut, "web": plan.RolledOut}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, threeEntries, "a")
			d.changeValues()
			d.cluster.denies, d.cluster.reverts = map[string]error{}, map[string]bool{}
			for _, name := range []string{"agent", "db", "web"} {
				d.run(name, "secret-a")
			}
			if tc.spoil != nil {
				tc.spoil(d)
			}
			tc.verb.Values = true
			findings, err := d.rollout(t.Context(), tc.verb)
			if !maps.Equal(d.fates, tc.want) || errors.Is(err, errStepsFailed) != tc.failed || findings != tc.findings {
				t.Errorf("%v, findings %t, %v", d.fates, findings, err)
			}
			if len(d.order) > 0 && d.order[len(d.order)-1] != "agent" {
				t.Errorf("patched in the order %q", d.order)
			}
			var told []string
			for _, line := range d.did() {
				name, _, _ := strings.Cut(strings.TrimPrefix(line, "deployment/"), " ")
				told = append(told, name)
			}
			if !slices.IsSorted(told) && tc.name != "one that was unhealthy before comes last" || len(told) != len(tc.want) {
				t.Errorf("told of %q", told)
			}
		})
	}
}

// A keyring Secret gets its next generation only where the pods need it: after retire has
// dropped a key from the .env nothing restarts.
func TestRolloutKeepsTheKeyring(t *testing.T) {
	keyrings := func(d *desk) (names []string) {
		for at := range d.cluster.whole {
			names = append(names, at[1])
		}
		slices.Sort(names)
		return names
	}
	d := newDesk(t, threeEntries, "a")
	d.changeKeys() // fernet-key has the old key alone, and then both
	had := keyrings(d)
	d.run("web", had[len(had)-1], "secret-a-g2")
	put(t, DefaultEnv, newValues.Replace(threeEntries)) // as retire leaves it
	if _, err := d.rollout(t.Context(), Rollout{}); err != nil || !slices.Equal(keyrings(d), had) || d.fates["web"] != plan.Unchanged {
		t.Errorf("%v, %v, %q", err, d.fates, keyrings(d))
	}
	if _, err := d.rollout(t.Context(), Rollout{DropPrevious: true}); err != nil || len(keyrings(d)) != len(had)+1 || d.fates["web"] != plan.RolledOut {
		t.Errorf("%v, %v, %q", err, d.fates, keyrings(d))
	}
	if _, err := d.rollout(t.Context(), Rollout{DropPrevious: true}); err != nil || len(keyrings(d)) != len(had)+1 || d.fates["web"] != plan.Unchanged {
		t.Errorf("again: %v, %v, %q", err, d.fates, keyrings(d))
	}
	if _, err := d.rollout(t.Context(), Rollout{}); err != nil || len(keyrings(d)) != len(had)+1 || d.fates["web"] != plan.Unchanged {
		t.Errorf("and without: %v, %v, %q", err, d.fates, keyrings(d))
	}
}

// A workload that names no keyring, and so lacks a key whatever a keyring holds, makes
// nobody write another one, and sends nobody to one that is not there.
func TestKeyringBesideAWorkloadWithoutOne(t *testing.T) {
	for _, more := range []string{"", "," + keyFresh} { // a previous key too many is no reason either
		d := newDesk(t, threeEntries, "a")
		d.changeKeys() // fernet-key-g2 has both keys
		put(t, DefaultEnv, newValues.Replace(threeEntries)+"KEY_PREVIOUS="+keyBefore+more+"\n")
		d.run("alone", "secret-a")
		d.run("web", "fernet-key-g1", "secret-c")
		_, err := d.rollout(t.Context(), Rollout{Values: true})
		want := []string{"alone secret-a", "web fernet-key-g2", "web secret-c-g2"}
		if !errors.Is(err, errStepsFailed) || !slices.Equal(d.reads(), want) || len(d.cluster.whole) != 2 {
			t.Errorf("%q: %v, %v, %q, %d keyrings", more, err, d.fates, d.reads(), len(d.cluster.whole))
		}
	}
}

// A keyring that would lose the key of a token that stays is not moved to.
func TestDropPreviousWhereATokenNeedsIt(t *testing.T) {
	d := newDesk(t, threeEntries, "a")
	d.changeKeys()
	d.run("web", "fernet-key-g1", "secret-a")
	findings, err := d.rollout(t.Context(), Rollout{DropPrevious: true})
	if !errors.Is(err, errStepsFailed) || !findings && d.fates["web"] != plan.LacksKey || !slices.Equal(d.reads(), []string{"web fernet-key-g1", "web secret-a"}) {
		t.Errorf("%v, %v, %q", err, d.fates, d.reads())
	}
}

// slowly is a cluster in which a rollout is done only while as many as may be are under way.
type slowly struct {
	*memCluster
	bound, left int

	mutex sync.Mutex
	under []workload.Workload // that were patched and are not done
	most  int                 // that were under way
}

func (c *slowly) Patch(ctx context.Context, w workload.Workload, change workload.Change, dryRun bool) (workload.Workload, error) {
	now, err := c.memCluster.Patch(ctx, w, change, dryRun)
	if dryRun || err != nil {
		return now, err
	}
	waiting := one(now.Namespace, now.Name, 0)
	waiting.Template = now.Template
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.under = append(c.under, waiting)
	c.most = max(c.most, len(c.under))
	return waiting, nil
}

func (c *slowly) Follow(ctx context.Context, _ workload.Kind, namespace string, seen func(workload.Workload, bool)) error {
	for ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond) // in which one too many may begin
		c.mutex.Lock()
		if len(c.under) >= min(c.bound, c.left) && c.left > 0 {
			done := one(namespace, c.under[0].Name, 1)
			done.Template = c.under[0].Template
			c.under, c.left = c.under[1:], c.left-1
			c.mutex.Unlock()
			seen(done, false)
			continue
		}
		c.mutex.Unlock()
	}
	return ctx.Err()
}

// As many workloads as were said are patched and not done, and one that is done makes room
// for the next.
func TestRolloutIsBounded(t *testing.T) {
	for said, bound := range map[int]int{1: 1, 3: 3, 0: DefaultMaxProgressing} {
		d := newDesk(t, threeEntries, "a")
		d.changeValues()
		for _, name := range strings.Fields("u v w x y z") {
			d.run(name, "secret-a")
		}
		s, err := d.open(Rollout{}.Needs())
		if err != nil {
			t.Fatal(err)
		}
		c := &slowly{memCluster: d.cluster, bound: bound, left: 6}
		s.Cluster = c
		p, err := Rollout{Values: true, MaxProgressing: said, WorkloadTimeout: time.Minute}.Plan(t.Context(), s)
		if err != nil || p.Apply(t.Context()) != nil {
			t.Fatal(err)
		}
		if c.most != bound || p.Summary() != "6 rolled out" {
			t.Errorf("%d: at most %d under way, want %d; %s", said, c.most, bound, p.Summary())
		}
		s.Close()
	}
}

// A keyring Secret that cannot be made fails what would name it, and nothing else.
func TestKeyringThatCannotBeMade(t *testing.T) {
	d := newDesk(t, threeEntries, "a")
	d.changeKeys()
	put(t, DefaultEnv, strings.ReplaceAll(threeEntries, testKey, keyFresh)+"KEY_PREVIOUS="+testKey+","+keyBefore+"\n")
	d.run("alone", "secret-a-g2")
	d.run("web", "fernet-key-g1", "secret-a-g2")
	d.cluster.at, d.cluster.fault = d.cluster.writes+1, refused
	if _, err := d.rollout(t.Context(), Rollout{Only: []string{"deployment/alone"}}); err != nil || d.fates["alone"] != plan.Unchanged || len(d.cluster.whole) != 2 {
		t.Errorf("none is made where nothing that is patched names it: %v, %v, %d keyrings", err, d.fates, len(d.cluster.whole))
	}
	_, err := d.rollout(t.Context(), Rollout{})
	if !errors.Is(err, errStepsFailed) || d.fates["web"] != plan.Failed || d.fates["alone"] != plan.Unchanged || !slices.Contains(d.reads(), "web fernet-key-g1") {
		t.Errorf("%v, %v, %q", err, d.fates, d.reads())
	}
}
