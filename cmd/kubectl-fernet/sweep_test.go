// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsv1client "k8s.io/client-go/kubernetes/typed/apps/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile/faultfs"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cli"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// sweep is a command that is killed everywhere. After each kill what matters
// has to hold, and the next run of the same command has to finish the work.
type sweep struct {
	name    string
	prepare func(t *testing.T) *site // makes what the command finds
	args    func(s *site) []string   // the command line
	already string                   // what a run says, with exit code 1, that finds all of it done
	check   func(s *site)            // asserts what the command was to reach
	batches bool                     // its rows follow its creates in batches: the number of its file calls varies
	light   bool                     // that no file call of it that fails stops it is for the use cases' own tests
}

var rotation = sweep{name: "rotate", prepare: newSite, args: words("rotate", "--yes"), already: "already", check: (*site).checkRotated}

var sweeps = []sweep{
	rotation,
	{name: "rotate one by one", prepare: newSite, args: words("rotate", "--yes", "--parallel", "1"), already: "already", check: (*site).checkRotated},
	{name: "rotate to a staged key", prepare: stagedSite, args: words("rotate", "--yes"), already: "already", check: (*site).checkRotated},
	{name: "rotate a key file", prepare: keyFileSite, args: words("rotate", "--yes"), already: "already", check: (*site).checkRotated},
	{name: "rotate --rollout", prepare: stagedRunningSite, args: rotateAndRollOut, check: (*site).checkRotatedAndRolledOut},
	{name: "rollout", prepare: rotatedSite, args: rolloutLine, check: (*site).checkRolledOut},
	{name: "wire", prepare: newSite, args: words("wire", "deployment/mounts", "deployment/reads", "--no-wait", "--yes"), check: (*site).checkWired},
	{name: "retire", prepare: rolledOutSite, args: words("retire", "--skip-cluster-check", "--ignore=history", "--yes"), check: (*site).checkRetired},
	{name: "push", prepare: unpushedSite, args: words("push"), check: (*site).checkPushed, batches: true},
	{name: "push --update", prepare: changedSite, args: words("push", "--update"), check: (*site).checkUpdated, batches: true},
	{name: "restore", prepare: deletedSite, args: words("restore"), check: (*site).checkRestored, batches: true},
	{name: "adopt", prepare: foundSite, args: words("adopt", found), check: (*site).checkAdopted},
	{name: "push as a bundle", prepare: toBundleSite, args: words("push"), check: (*site).checkBundled, light: true},
	{name: "push as single Secrets again", prepare: toSinglesSite, args: words("push"), check: (*site).checkSingled, batches: true, light: true},
	{name: "push --update --drop-entries of a bundle", prepare: changedBundleSite, args: words("push", "--update", "--drop-entries"), check: (*site).checkBundleUpdated, light: true},
	{name: "rotate a bundle", prepare: bundledSite, args: words("rotate", "--yes"), already: "already", check: (*site).checkBundleRotated, light: true},
	{name: "retire what a bundle replaced", prepare: replacedSite, args: words("retire", "--skip-cluster-check", "--yes"), check: (*site).checkReplacedRetired, light: true},
	{name: "restore a bundle", prepare: deletedBundleSite, args: words("restore"), check: (*site).checkBundleRestored, light: true},
	{name: "adopt a bundle", prepare: foundBundleSite, args: words("adopt", bundleBase+"-g1"), check: (*site).checkBundleAdopted, light: true},
	{name: "pull", prepare: behindSite, args: words("pull", "--force", "--yes"), check: (*site).checkPulled},
	{name: "pull from the cluster", prepare: behindSite, args: words("pull", "--from", "cluster", "--force", "--yes"), check: (*site).checkPulled},
	{name: "pull a whole file", prepare: emptyHandedSite, args: words("pull"), check: (*site).checkPulled},
}

func words(args ...string) func(*site) []string { return func(*site) []string { return args } }

// Each command, killed before and after each of its requests, of which it makes always as
// many.
func TestSweepRequests(t *testing.T) {
	t.Run("sweeps", func(t *testing.T) {
		for _, sw := range sweeps {
			t.Run(sw.name, func(t *testing.T) {
				t.Parallel()
				requests := sw.countRequests(t)
				sw.everywhere(t, "request", false, func(s *site, k int, after bool) bool {
					killed, made := s.killAtRequest(sw.args(s), k, after)
					if !killed && k != requests+1 {
						s.t.Fatalf("not killed at request %d, of %d and undisturbed %d", k, made, requests)
					}
					return killed
				})
			})
		}
	})
	testkube.Cases(t, len(sweeps))
}

// Each command, killed before and after each of its calls of the file system,
// until a run is not killed any more: so the count is exact, where it does not vary.
func TestSweepFileCalls(t *testing.T) {
	for _, sw := range sweeps {
		t.Run(sw.name, func(t *testing.T) {
			t.Parallel()
			sw.everywhere(t, "file call", sw.batches, func(s *site, k int, after bool) bool {
				return s.killAtCall(sw.args(s), k, after)
			})
		})
	}
}

// Each command, of which each call of the file system fails once: then the same
// process runs it again, which finds the lock free, finishes, and all is as if
// nothing had failed.
func TestSweepFailingFileCalls(t *testing.T) {
	for _, sw := range sweeps {
		if strings.HasPrefix(sw.name, "pull") || sw.light {
			continue // pull keeps the lock when its first call fails
		}
		t.Run(sw.name, func(t *testing.T) {
			t.Parallel()
			started, failed := time.Now(), 0
			for more := true; more; failed++ {
				t.Run(fmt.Sprintf("file call %d", failed+1), func(t *testing.T) {
					more = false
					sw.survives(t, func(s *site) bool {
						more = sw.failsAtCall(s, failed+1)
						return more
					})
				})
			}
			t.Logf("%s: %d calls failed, in %.0f s", sw.name, failed-1, time.Since(started).Seconds())
		})
	}
}

// failsAtCall says whether the command came to its k-th call of the file system,
// which fails, and asserts that a second run in the same process ends as it should.
func (sw sweep) failsAtCall(s *site, k int) bool {
	s.t.Helper()
	args := sw.args(s)
	cmd := s.plugin(testkube.Kubeconfig(s.t), args...)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", failVariable, k), secondVariable+"="+strings.Join(cmd.Args[1:], " "))
	said, err := cmd.CombinedOutput()
	first, calls, out := splitRuns(s.t, string(said))
	if code := exitCode(s.t, err); code != 0 && (code != 1 || sw.already == "" || !strings.Contains(out, sw.already)) {
		s.t.Errorf("the second run: exit code %d\n%s", code, said)
	}
	if first > 2 || strings.Contains(string(said), "internal error") {
		s.t.Errorf("exit code %d\n%s", first, said)
	}
	return calls >= k
}

// everywhere kills the command before its first step, its second and so on, then
// after them, each time until there is no such step, and says how often it did.
func (sw sweep) everywhere(t *testing.T, step string, varies bool, kill func(s *site, k int, after bool) bool) {
	t.Helper()
	started, counts := time.Now(), []int{0, 0}
	for i, when := range []string{"before", "after"} {
		for killed := true; killed; {
			killed = false
			k := counts[i] + 1
			t.Run(fmt.Sprintf("%s %s %d", when, step, k), func(t *testing.T) {
				sw.survives(t, func(s *site) bool {
					killed = kill(s, k, when == "after")
					return killed
				})
			})
			if killed {
				counts[i] = k
			}
		}
	}
	if counts[0] == 0 || counts[0] != counts[1] && !varies {
		t.Errorf("killed before %d %ss, and after %d", counts[0], step, counts[1])
	}
	t.Logf("%s: %d cases, killed before %d %ss and after %d, in %.0f s", sw.name, counts[0]+counts[1], counts[0], step, counts[1], time.Since(started).Seconds())
}

// countRequests gives how many requests an undisturbed run makes.
func (sw sweep) countRequests(t *testing.T) int {
	t.Helper()
	s, proxy := sw.prepare(t), startProxy(t)
	if out, err := s.plugin(proxyKubeconfig(t, proxy), sw.args(s)...).CombinedOutput(); err != nil {
		t.Fatalf("undisturbed: %v\n%s", err, out)
	}
	s.settled()
	sw.check(s)
	return len(proxy.Requests())
}

// survives is one case. A rotation that had its key on disk when it was killed
// goes on with that key and makes no other.
func (sw sweep) survives(t *testing.T, kill func(*site) bool) {
	t.Helper()
	s := sw.prepare(t)
	s.holds()
	before := s.keys().primary
	killed := kill(s)
	s.holds()
	durable := s.keys().primary
	if killed {
		sw.again(s) // which takes the lock
	}
	s.settled()
	sw.check(s)
	if durable != before && s.keys().primary != durable {
		t.Error("the next run made another key than the one that was on disk")
	}
}

// again runs the command once more, which has to finish what there is to do.
func (sw sweep) again(s *site) {
	s.t.Helper()
	code, out := s.run(sw.args(s)...)
	if code != 0 && (code != 1 || sw.already == "" || !strings.Contains(out, sw.already)) {
		s.t.Fatalf("the next run: exit code %d\n%s", code, out)
	}
}

// killAtRequest says whether the command died of SIGKILL at its k-th request, and
// how many it made.
func (s *site) killAtRequest(args []string, k int, after bool) (killed bool, made int) {
	s.t.Helper()
	proxy := startProxy(s.t)
	run := s.disturbed(proxy, args, func(pid func() int) []faultproxy.Rule {
		action := faultproxy.KillBefore(pid)
		if after {
			action = faultproxy.KillAfter(pid)
		}
		return []faultproxy.Rule{faultproxy.Nth(k, faultproxy.All(action))}
	})
	killed = diedOfKill(s.t, run.err)
	settle(s.t, proxy)
	return killed, len(proxy.Requests())
}

// disturbed runs a command past a proxy whose rules may kill it, to its end.
func (s *site) disturbed(proxy *faultproxy.Proxy, args []string, rules func(pid func() int) []faultproxy.Rule) *running {
	s.t.Helper()
	var run *running
	started := make(chan struct{})
	proxy.Reset(rules(func() int { <-started; return run.Process.Pid })...)
	run = start(s.plugin(proxyKubeconfig(s.t, proxy), args...))
	close(started)
	<-run.over
	return run
}

// killAtCall says whether the command died at its k-th call of the file system.
func (s *site) killAtCall(args []string, k int, after bool) bool {
	s.t.Helper()
	cmd := s.plugin(testkube.Kubeconfig(s.t), args...)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d,%t", killVariable, k, after))
	return diedOfKill(s.t, cmd.Run())
}

// diedOfKill tells a run that was killed from one that succeeded; others fail.
func diedOfKill(t *testing.T, err error) bool {
	t.Helper()
	var exit *exec.ExitError
	if err == nil {
		return false
	}
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return true
		}
	}
	t.Errorf("neither killed nor done: %v", err)
	return false
}

// site is a place with all that a rotation meets: five Secrets that were pushed, three
// Deployments and a StatefulSet that use them, and Secrets of others. It remembers what it
// saw.
type site struct {
	place
	flags     []string // of each of its commands
	holder    string   // the file with the keys
	others    []corev1.Secret
	replicas  int32    // of each workload
	dropped   []string // entries that left the .env
	workloads []deployed
	staged    string            // the id of the key that its rotation takes
	seen      map[string]string // tokens of ours, by the Secret's name
	underWay                    // what may still be otherwise, until settled
}

// underWay is what a command has not reached yet when it is killed.
type underWay struct {
	missing    bool              // Secrets of some entries
	former     map[string]string // values that others are to follow
	unrecorded string            // a Secret that the ledger lacks
	file       func(s *site)     // asserts what is true of the .env meanwhile
}

const strangersKey = leakPrevious

func newSite(t *testing.T) *site {
	t.Helper()
	s := emptySite(t)
	s.furnish()
	return s
}

func emptySite(t *testing.T) *site {
	t.Helper()
	return &site{place: newPlace(t, 5), holder: ".env", seen: map[string]string{}}
}

// stagedSite has a KEY_NEXT that its rotation has to take.
func stagedSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.must("rotate", "--prepare", "--yes")
	return s
}

// keyFileSite has its keys in a file of their own.
func keyFileSite(t *testing.T) *site {
	t.Helper()
	s := emptySite(t)
	s.holder, s.flags = "keys", []string{"--key-file", "keys"}
	env := filepath.Join(s.dir, ".env")
	key, rest, _ := strings.Cut(string(read(t, env)), "\n")
	write(t, filepath.Join(s.dir, s.holder), key+"\n")
	write(t, env, rest)
	s.furnish()
	return s
}

// rotatedSite has pods, which still use the tokens of before the rotation.
func rotatedSite(t *testing.T) *site {
	t.Helper()
	s := emptySite(t)
	s.replicas = 1
	s.furnish()
	s.must("rotate", "--yes")
	return s
}

// stagedRunningSite has pods, and a KEY_NEXT that they hold.
func stagedRunningSite(t *testing.T) *site {
	t.Helper()
	s := emptySite(t)
	s.replicas = 1
	s.furnish()
	s.must("rotate", "--prepare", "--yes")
	s.staged = s.keys().ring(t).KeyIDs()[1]
	return s
}

// rolledOutSite has nothing left to do but to retire what was before.
func rolledOutSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.must("rotate", "--yes")
	s.must(rolloutLine(s)...)
	s.workloads = s.deployed()
	return s
}

func rolloutLine(s *site) []string {
	return []string{"rollout", "--yes", "--max-progressing", "4", "--workload-timeout", "2m", "--apps-have-key", s.keys().ring(s.t).KeyIDs()[0]}
}

func rotateAndRollOut(s *site) []string {
	return []string{"rotate", "--rollout", "--yes", "--max-progressing", "4", "--workload-timeout", "2m", "--apps-have-key", s.staged}
}

// furnish pushes the entries and adds what is not to be touched.
func (s *site) furnish() {
	s.t.Helper()
	s.must("push")
	s.addOthers()
	s.deploy()
}

// addOthers adds Secrets of others.
func (s *site) addOthers() {
	s.t.Helper()
	ctx, secrets := s.t.Context(), corev1client.NewForConfigOrDie(testkube.RESTConfig(s.t)).Secrets(s.namespace)
	plain := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "unlabelled"}, Data: map[string][]byte{"a": []byte("b")}}
	for _, other := range []*corev1.Secret{plain, strangersSecret(s.t, s.namespace)} {
		stored, err := secrets.Create(ctx, other, metav1.CreateOptions{})
		if err != nil {
			s.t.Fatal(err)
		}
		s.others = append(s.others, *stored)
	}
}

// deploy adds the workloads that use the Secrets.
func (s *site) deploy() {
	s.t.Helper()
	ctx, apps := s.t.Context(), appsv1client.NewForConfigOrDie(testkube.RESTConfig(s.t))
	for _, d := range []*appsv1.Deployment{
		deployment("mounts", mounted("secret-00", "secret-01")), deployment("mounts-too", mounted("secret-01", "secret-03")),
		deployment("reads", asVariable("secret-02", "SECRET_02")),
	} {
		d.Spec.Replicas = &s.replicas
		if _, err := apps.Deployments(s.namespace).Create(ctx, d, metav1.CreateOptions{}); err != nil {
			s.t.Fatal(err)
		}
	}
	d := deployment("keeps", mounted("secret-03", "secret-04"))
	set := &appsv1.StatefulSet{ObjectMeta: d.ObjectMeta, Spec: appsv1.StatefulSetSpec{Replicas: &s.replicas, Selector: d.Spec.Selector, Template: d.Spec.Template}}
	if _, err := apps.StatefulSets(s.namespace).Create(ctx, set, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
	s.workloads = s.deployed()
}

// strangersSecret is one that looks just like ours, of another project's key.
func strangersSecret(t *testing.T, namespace string) *corev1.Secret {
	t.Helper()
	row := sealedRow(t, strangersKey, namespace, "STRANGER", "canary-of-a-stranger")
	return manifest.Secret(row)
}

func deployment(name string, template corev1.PodSpec) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	template.Containers[0].Name, template.Containers[0].Image = "app", "app"
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: template},
		},
	}
}

func mounted(secrets ...string) corev1.PodSpec {
	spec := corev1.PodSpec{Containers: make([]corev1.Container, 1)}
	for i, secret := range secrets {
		name := fmt.Sprintf("v%d", i)
		source := corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret}}
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: name, VolumeSource: source})
		spec.Containers[0].VolumeMounts = append(spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: name, MountPath: "/" + name})
	}
	return spec
}

func asVariable(secret, key string) corev1.PodSpec {
	ref := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: key}
	variable := corev1.EnvVar{Name: "TOKEN", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: ref}}
	return corev1.PodSpec{Containers: []corev1.Container{{Env: []corev1.EnvVar{variable}}}}
}

// plugin gives a command in the place's folder and namespace.
func (s *site) plugin(kubeconfig string, args ...string) *exec.Cmd {
	args = slices.Concat(args, []string{"-n", s.namespace}, s.flags)
	cmd := exec.Command("kubectl-fernet", args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	return cmd
}

// run gives the exit code of a command, and all that it said.
func (s *site) run(args ...string) (code int, out string) {
	s.t.Helper()
	said, err := s.plugin(testkube.Kubeconfig(s.t), args...).CombinedOutput()
	return exitCode(s.t, err), string(said)
}

// must runs a command that has to end with 0.
func (s *site) must(args ...string) string {
	s.t.Helper()
	code, out := s.run(args...)
	if code != 0 {
		s.t.Fatalf("%s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// keys are the keys that a file holds, read without the code that wrote it.
type keys struct {
	primary, next string
	previous      []string
}

func (s *site) keys() keys {
	s.t.Helper()
	var k keys
	for line := range strings.Lines(string(read(s.t, filepath.Join(s.dir, s.holder)))) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch name {
		case "KEY":
			k.primary = value
		case "KEY_NEXT":
			k.next = value
		case "KEY_PREVIOUS":
			k.previous = strings.Split(value, ",")
		}
	}
	return k
}

func (k keys) ring(t *testing.T) *decrypt.Keyring {
	t.Helper()
	others := k.previous
	if k.next != "" {
		others = append([]string{k.next}, others...)
	}
	ring, err := decrypt.ParseKeys(k.primary, others...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// ours gives the live Secrets of the entries, and asserts that all others are
// what they were, byte for byte and never written.
func (s *site) ours() map[string]corev1.Secret {
	s.t.Helper()
	ours, others := map[string]corev1.Secret{}, 0
	for _, live := range s.secrets() {
		i := slices.IndexFunc(s.others, func(o corev1.Secret) bool { return o.Name == live.Name })
		if i < 0 {
			ours[live.Name] = live
			continue
		}
		others++
		if !reflect.DeepEqual(live, s.others[i]) {
			s.t.Errorf("Secret %s, which is not ours, was changed", live.Name)
		}
	}
	if others != len(s.others) {
		s.t.Errorf("%d of %d Secrets that are not ours are left", others, len(s.others))
	}
	return ours
}

// records gives the fold of the ledger, by the Secret's name and token.
func (s *site) records() map[[2]string]ledger.Record {
	s.t.Helper()
	records := map[[2]string]ledger.Record{}
	for _, r := range ledgerRecords(s.t, s.dir) {
		records[[2]string{r.Secret, r.Token}] = r
	}
	return records
}

// holds asserts what is true at every moment: each live token of ours opens with
// the keys on disk, all of one Secret with one key, and stands in the ledger, the newest of
// each entry opens to its value, and no name was ever seen with other bytes.
func (s *site) holds() {
	s.t.Helper()
	ring, records, newest := s.keys().ring(s.t), s.records(), map[string]int{}
	current := map[string]string{}
	for name, live := range s.ours() {
		_, generation := names.Split(name)
		for entry, data := range live.Data {
			plain, err := ring.Open(data)
			if err != nil {
				s.t.Errorf("Secret %s does not open with the keys on disk: %v", name, err)
			}
			if generation > newest[entry] {
				newest[entry], current[entry] = generation, string(plain)
			}
		}
		text := whole(live)
		if _, recorded := records[[2]string{name, text}]; !recorded && name != s.unrecorded {
			s.t.Errorf("Secret %s has a token that the ledger has not", name)
		}
		if was, ok := s.seen[name]; ok && was != text {
			s.t.Errorf("Secret %s has other bytes than before", name)
		}
		s.seen[name] = text
		s.oneKey(live)
	}
	for entry, value := range s.values {
		is, there := current[entry]
		if was, changes := s.former[entry]; !(there && (is == value || changes && is == was) || !there && s.missing) {
			s.t.Errorf("the newest token of %s, there=%t, does not open to its value", entry, there)
		}
	}
	for entry := range current {
		if _, is := s.values[entry]; !is && !slices.Contains(s.dropped, entry) {
			s.t.Errorf("a token of %s, which is no entry", entry)
		}
	}
	if s.file != nil {
		s.file(s)
	}
}

// settled asserts what a finished command leaves: a ledger that says what the
// cluster has and leaves nothing open, no other file, and nothing to push.
func (s *site) settled() {
	s.t.Helper()
	s.underWay = underWay{}
	s.holds()
	s.agrees(s.ours())
	want := len(s.values)
	if s.bundle {
		want = 1
	}
	if out := s.must("push"); strings.Count(out, " unchanged\n") != want {
		s.t.Errorf("push after it:\n%s", out)
	}
	left, err := filepath.Glob(filepath.Join(s.dir, "*"+atomicfile.Suffix))
	hidden, _ := filepath.Glob(filepath.Join(s.dir, ".*"+atomicfile.Suffix))
	if left = append(left, hidden...); err != nil || len(left) > 0 {
		s.t.Errorf("left behind: %v, %v", left, err)
	}
}

// agrees asserts that the ledger leaves nothing open, and says of each Secret what
// there is.
func (p place) agrees(live map[string]corev1.Secret) {
	p.t.Helper()
	for _, r := range ledgerRecords(p.t, p.dir) {
		is, there := live[r.Secret]
		there = there && whole(is) == r.Token
		switch {
		case r.State == ledger.Planned:
			p.t.Errorf("the ledger leaves open what became of Secret %s", r.Secret)
		case there != (r.State == ledger.Created), there && !slices.Contains(r.UIDs(), string(is.UID)):
			p.t.Errorf("Secret %s: the ledger says %s, and there=%t", r.Secret, r.State, there)
		}
	}
}

// checkRotated asserts one rotation, not more, and that the workloads are as they were.
func (s *site) checkRotated() {
	s.t.Helper()
	s.checkNextGeneration()
	s.untouched()
}

// checkNextGeneration asserts that each entry has a second generation of the same age that
// opens with the new key alone.
func (s *site) checkNextGeneration() {
	s.t.Helper()
	k := s.keys()
	if k.primary == testKey || k.next != "" || !slices.Equal(k.previous, []string{testKey}) {
		s.t.Error("KEY is not new, or KEY_PREVIOUS is not the one before it alone")
	}
	alone, err := decrypt.ParseKeys(k.primary)
	if err != nil {
		s.t.Fatal(err)
	}
	ours := s.ours()
	if len(ours) != 2*len(s.values) {
		s.t.Errorf("%d Secrets of ours for %d entries", len(ours), len(s.values))
	}
	for entry, value := range s.values {
		base, _ := names.Base(entry)
		first, second := ours[base].Data[entry], ours[base+"-g2"].Data[entry]
		plain, err := alone.Open(second)
		was, errWas := token.Parse(string(first))
		is, errIs := token.Parse(string(second))
		if errors.Join(err, errWas, errIs) != nil || string(plain) != value || !was.Time.Equal(is.Time) {
			s.t.Errorf("Secret %s-g2 is not %s under the new key: %v", base, base, errors.Join(err, errWas, errIs))
		}
	}
}

// deployed is a workload as the API server has it.
type deployed struct {
	Metadata struct {
		Name       string
		Generation int64
	}
	Spec   json.RawMessage
	Status struct {
		ObservedGeneration                           int64
		Replicas, UpdatedReplicas, AvailableReplicas int32
	}
}

// deployed gives the workloads as they are now, always in the same order.
func (s *site) deployed() (now []deployed) {
	s.t.Helper()
	client := appsv1client.NewForConfigOrDie(testkube.RESTConfig(s.t)).RESTClient()
	for _, kind := range []string{"deployments", "statefulsets"} {
		raw, err := client.Get().Namespace(s.namespace).Resource(kind).SetHeader("Accept", "application/json").DoRaw(s.t.Context())
		var list struct{ Items []deployed }
		if err == nil {
			err = json.Unmarshal(raw, &list)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		now = append(now, list.Items...)
	}
	return now
}

func (s *site) untouched() {
	s.t.Helper()
	for i, is := range s.deployed() {
		if was := s.workloads[i]; string(is.Spec) != string(was.Spec) || is.Metadata != was.Metadata {
			s.t.Errorf("workload %s was changed", was.Metadata.Name)
		}
	}
}

var reference = regexp.MustCompile(`"secret-\d\d"`)

// checkRolledOut asserts one patch of each workload that changed the names of Secrets and
// nothing else, and that it comes to its end: where the machine is busy, a pod may be made anew
// after it.
func (s *site) checkRolledOut() {
	s.t.Helper()
	ready := func(d deployed) bool {
		return d.Status.UpdatedReplicas == s.replicas && d.Status.AvailableReplicas == s.replicas
	}
	now := s.deployed()
	for end := time.Now().Add(time.Minute); slices.ContainsFunc(now, func(d deployed) bool { return !ready(d) }) && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
		now = s.deployed()
	}
	for i, is := range now {
		was, name := s.workloads[i], is.Metadata.Name
		want := reference.ReplaceAllStringFunc(string(was.Spec), func(name string) string { return strings.TrimSuffix(name, `"`) + `-g2"` })
		if string(is.Spec) != want || want == string(was.Spec) || is.Metadata.Generation != was.Metadata.Generation+1 {
			s.t.Errorf("workload %s was not patched once, from old names to new ones: generation %d\n%s", name, is.Metadata.Generation, is.Spec)
		}
		if st := is.Status; st.ObservedGeneration != is.Metadata.Generation || !ready(is) {
			s.t.Errorf("workload %s has not rolled out: %v", name, st)
		}
	}
}

// checkRotatedAndRolledOut asserts both, of one command.
func (s *site) checkRotatedAndRolledOut() {
	s.t.Helper()
	s.checkNextGeneration()
	s.checkRolledOut()
}

// checkRetired asserts that the second generations are left, under a key that is
// alone.
func (s *site) checkRetired() {
	s.t.Helper()
	if k := s.keys(); k.previous != nil || k.next != "" {
		s.t.Error("an older key is still held")
	}
	ours := s.ours()
	for entry := range s.values {
		base, _ := names.Base(entry)
		if _, ok := ours[base+"-g2"]; !ok || len(ours) != len(s.values) {
			s.t.Errorf("%d Secrets are left; the current one of %s: %t", len(ours), entry, ok)
		}
	}
	s.untouched()
}

// killVariable holds, in a command's environment, at which of its calls of the
// file system it dies, and whether after that call: "7,true".
const killVariable = "FERNET_TEST_KILL_CALL"

// plugin is the plugin's main, or with one of the variables the plugin that meets a
// fault, and with secondVariable runs again then, in the same process.
func plugin() {
	files, known := faultyFiles()
	second, twice := os.LookupEnv(secondVariable)
	clock, off := os.LookupEnv(clockVariable)
	if !known && !twice && !off {
		main()
		return
	}
	machine := action.On(files)
	if off {
		by, err := time.ParseDuration(clock)
		if err != nil {
			panic(err)
		}
		machine.Now = func() time.Time { return time.Now().Add(by) }
	}
	ballast := uncollected()
	code := cli.Main(machine, os.Args[1:])
	recordCalls(files)
	if twice {
		calls := 0
		if faulty, ok := files.(*faultfs.FS); ok {
			calls = len(faulty.Calls())
		}
		fmt.Fprintf(os.Stdout, firstRun, code, calls)
		code = cli.Main(action.On(atomicfile.OS), strings.Fields(second))
	}
	runtime.KeepAlive(ballast)
	os.Exit(code)
}

// faultyFiles gives the file system that the environment asks for, if it does.
func faultyFiles() (files atomicfile.FS, known bool) {
	for name, make := range map[string]func(at int, text string) atomicfile.FS{
		fullVariable:   func(at int, _ string) atomicfile.FS { return &fullFS{FS: atomicfile.OS, at: at} },
		failVariable:   func(at int, _ string) atomicfile.FS { return &faultfs.FS{FailAt: at} },
		befallVariable: befallen,
		killVariable: func(at int, after string) atomicfile.FS {
			return &killFS{FS: atomicfile.OS, at: int64(at), after: after == "true", end: die}
		},
		panicVariable: func(at int, _ string) atomicfile.FS { return &killFS{FS: atomicfile.OS, at: int64(at), end: panics} },
	} {
		text, ok := os.LookupEnv(name)
		if !ok {
			continue
		}
		number, rest, _ := strings.Cut(text, ",")
		at, err := strconv.Atoi(number)
		if err != nil {
			panic(err)
		}
		return make(at, rest), true
	}
	return atomicfile.OS, false
}

// killFS is the real file system, up to one call, which ends the program.
type killFS struct {
	atomicfile.FS
	at    int64
	after bool
	end   func()
	calls atomic.Int64
}

// call is deferred twice over: it dies at once, or what it gives does.
func (k *killFS) call() (afterwards func()) {
	here := k.calls.Add(1) == k.at
	if here && !k.after {
		k.end()
	}
	return func() {
		if here && k.after {
			k.end()
		}
	}
}

func die() {
	self, _ := os.FindProcess(os.Getpid())
	_ = self.Kill()
	select {}
}

func (k *killFS) Stat(name string) (fs.FileInfo, error) { defer k.call()(); return k.FS.Stat(name) }
func (k *killFS) Link(from, to string) error            { defer k.call()(); return k.FS.Link(from, to) }
func (k *killFS) Rename(from, to string) error          { defer k.call()(); return k.FS.Rename(from, to) }
func (k *killFS) Remove(name string) error              { defer k.call()(); return k.FS.Remove(name) }
func (k *killFS) SyncDir(dir string) error              { defer k.call()(); return k.FS.SyncDir(dir) }

func (k *killFS) OpenFile(name string, flag int, perm fs.FileMode) (atomicfile.File, error) {
	defer k.call()()
	f, err := k.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return killFile{f, k}, nil
}

type killFile struct {
	atomicfile.File
	fs *killFS
}

func (f killFile) Read(p []byte) (int, error)   { defer f.fs.call()(); return f.File.Read(p) }
func (f killFile) Write(p []byte) (int, error)  { defer f.fs.call()(); return f.File.Write(p) }
func (f killFile) Stat() (fs.FileInfo, error)   { defer f.fs.call()(); return f.File.Stat() }
func (f killFile) Chmod(mode fs.FileMode) error { defer f.fs.call()(); return f.File.Chmod(mode) }
func (f killFile) Chown(uid, gid int) error     { defer f.fs.call()(); return f.File.Chown(uid, gid) }
func (f killFile) Truncate(size int64) error    { defer f.fs.call()(); return f.File.Truncate(size) }
func (f killFile) Sync() error                  { defer f.fs.call()(); return f.File.Sync() }
func (f killFile) Close() error                 { defer f.fs.call()(); return f.File.Close() }

// ledgerRecords gives what all rows of a ledger add up to, signed or not.
func ledgerRecords(t *testing.T, dir string) []ledger.Record {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, ledgerName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	rows, _, err := ledger.Parse(ledgerName, data)
	if err != nil {
		t.Fatal(err)
	}
	return ledger.Fold(rows)
}
