// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"maps"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// deploymentOf gives a Deployment with these containers.
func deploymentOf(containers ...corev1.Container) Workload {
	return Workload{Kind: Deployment, Name: "web", Generation: 7, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: containers}}}
}

func oneToken(name string, length int) []Tokens {
	return []Tokens{{Secret: "web-g1", Length: map[string]int{name: length}}}
}

func TestContainersAreChosen(t *testing.T) {
	for _, tc := range []struct {
		name       string
		annotation string
		containers []string // of the template
		globs      []string
		want       string // names, or the error
	}{
		{"the only one", "", []string{"app"}, nil, "app"},
		{"several", "", []string{"app", "proxy"}, nil, "it has the containers app, proxy, and nothing says which is meant: add -c app"},
		{"kubectl's default", "proxy", []string{"app", "proxy"}, nil, "proxy"},
		{"kubectl's default, which is not there", "gone", []string{"app", "proxy"}, nil, `it has no container "gone"; it has app, proxy: `},
		{"by name", "proxy", []string{"app", "proxy"}, []string{"app"}, "app"},
		{"all", "", []string{"app", "proxy"}, []string{"*"}, "app proxy"},
		{"twice", "", []string{"app", "proxy"}, []string{"app", "a*"}, "app"},
		{"one that is not there", "", []string{"app"}, []string{"app", "web"}, `it has no container "web"; it has app: `},
		{"never our own", "", []string{"app", "fernet-exec"}, []string{"*"}, "app"},
		{"never our own by name", "", []string{"app", "fernet-exec"}, []string{"fernet-exec"}, `it has no container "fernet-exec"; it has app, fernet-exec: `},
	} {
		var containers []corev1.Container
		for _, name := range tc.containers {
			containers = append(containers, corev1.Container{Name: name})
		}
		w := deploymentOf(containers...)
		w.Template.Annotations = map[string]string{defaultContainer: tc.annotation}
		wiring := &Wiring{Containers: tc.globs, Tokens: oneToken("A", 100)}
		f, err := wiring.Fit(w)
		got := strings.Join(containerNames(f.added.Spec.Containers), " ")
		if err != nil {
			got = fmt.Sprintf("%v: %s", err, hint.Of(err))
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// What execve(2) itself takes is let pass, and what it does not take is refused.
func TestLengthsAreThoseOfTheSystem(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the limits are those of Linux, where containers run")
	}
	starts := func(variables map[string]int) bool {
		cmd := exec.Command("/bin/true")
		for name, length := range variables {
			cmd.Env = append(cmd.Env, name+"="+strings.Repeat("x", length))
		}
		return cmd.Run() == nil
	}
	const longest = maxVariable - len("A=") - 1
	all := map[string]int{}
	for i := range (maxEnvironment - 1) / (100<<10 + 20) {
		all[fmt.Sprintf("V%02d", i)] = 100 << 10
	}
	more := maps.Clone(all)
	for i := range 8 {
		more[fmt.Sprintf("W%02d", i)] = 100 << 10
	}
	for _, tc := range []struct {
		name      string
		variables map[string]int
		starts    bool
		says      string
	}{
		{"the longest", map[string]int{"A": longest}, true, ""},
		{"longer by one", map[string]int{"A": longest + 1}, false, "the token of A is too long"},
		{"all together", all, true, ""},
		{"too many", more, false, "the tokens are"},
	} {
		if got := starts(tc.variables); got != tc.starts {
			t.Errorf("%s: a program starts: %v, want %v", tc.name, got, tc.starts)
		}
		err := checkLengths(tc.variables)
		if (err == nil) != tc.starts || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// A container that gets files has no such limit.
func TestFilesMayBeLong(t *testing.T) {
	wiring := &Wiring{Tokens: oneToken("A", 1<<20), MountPath: "/etc/fernet"}
	if f, err := wiring.Fit(deploymentOf(corev1.Container{Name: "app"})); err != nil || f.Unchanged() {
		t.Error(err)
	}
	app := corev1.Container{Name: "app", Command: []string{"/app"}}
	for way, wiring := range map[string]*Wiring{
		"--mount-path": {Tokens: oneToken("A", 1<<20)},
		"--write":      {Tokens: oneToken("A", 1<<20), Keyring: "k-g1", MountPath: "/etc/fernet", Exec: &Exec{Image: "i"}}, // files become variables again
	} {
		if _, err := wiring.Fit(deploymentOf(app)); err == nil || !strings.Contains(string(hint.Of(err)), way) {
			t.Errorf("a variable of 1 MiB: %v, %s, want a hint at %s", err, hint.Of(err), way)
		}
	}
}

func TestExecIsRefused(t *testing.T) {
	ours := envFrom("web-g1")
	app := corev1.Container{Name: "app", Image: "example.com/app", Command: []string{"/app"}}
	with := func(change func(c *corev1.Container)) corev1.Container {
		c := *app.DeepCopy()
		change(&c)
		return c
	}
	for _, tc := range []struct {
		name      string
		container corev1.Container
		volumes   []corev1.Volume
		exec      Exec
		keyring   string
		mountPath string
		says      string
	}{
		{"no key", app, nil, Exec{Image: "i"}, "", "", "it has no FERNET_KEY, without which fernet-exec opens nothing: kubectl fernet push --key-secret fernet-key keeps"},
		{"no image", app, nil, Exec{}, "k-g1", "", "--exec needs the image of fernet-exec: build it from"},
		{"no command", with(func(c *corev1.Container) { c.Command = nil }), nil, Exec{Image: "i"}, "k-g1", "", "its manifest names no command, and the API does not know that of the image example.com/app: give its ENTRYPOINT and CMD after --; docker inspect example.com/app"},
		{"arguments only", with(func(c *corev1.Container) { c.Command, c.Args = nil, []string{"x"} }), nil, Exec{Image: "i"}, "k-g1", "", "names no command, and the API does not know that of the image example.com/app: give its ENTRYPOINT, as the manifest has the arguments after --"},
		{"two commands", app, nil, Exec{Image: "i", Command: []string{"/other"}}, "k-g1", "", "its manifest names a command already: leave out"},
		{"a token in an argument", with(func(c *corev1.Container) { c.Args = []string{"--key=$(SECRET_A)"} }), nil, Exec{Image: "i"}, "k-g1", "", "its template has $(SECRET_A), where Kubernetes would put the token: let the program read the variable: sh -c with $SECRET_A"},
		{"a token in another variable", with(func(c *corev1.Container) {
			c.Env = []corev1.EnvVar{{Name: "DSN", Value: "postgres://u:$(SECRET_A)@db"}}
		}), nil, Exec{Image: "i"}, "k-g1", "", "its template has $(SECRET_A)"},
		{"two tokens in an argument", with(func(c *corev1.Container) { c.Args = []string{"$(HOST)$(SECRET_A)"} }), nil, Exec{Image: "i"}, "k-g1", "", "its template has $(SECRET_A)"},
		{"a key with a prefix", with(func(c *corev1.Container) {
			c.EnvFrom = []corev1.EnvFromSource{{Prefix: "APP_", SecretRef: envFrom("my-keys").SecretRef}}
		}), nil, Exec{Image: "i"}, "", "", "it has no FERNET_KEY"},
		{"a variable and a file", with(func(c *corev1.Container) { c.EnvFrom = []corev1.EnvFromSource{ours} }), nil, Exec{Image: "i"}, "k-g1", "/etc/f", "it has SECRET_A as a variable already, and fernet-exec would find it as a file too: leave out --mount-path, or take the variable out of the template"},
		{"a file and a variable of its own", with(func(c *corev1.Container) { c.Env = []corev1.EnvVar{{Name: "SECRET_A", Value: "x"}} }), nil, Exec{Image: "i"}, "k-g1", "/etc/f", "it has SECRET_A as a variable already"},
		{"another folder", with(func(c *corev1.Container) {
			c.Command = []string{"/fernet/fernet-exec", "--dir", "/etc/g", "--", "/app"}
		}), nil, Exec{Image: "i"}, "k-g1", "/etc/f", "its command has --dir /etc/g already: --mount-path /etc/g"},
		{"a variable of its own", with(func(c *corev1.Container) { c.Env = []corev1.EnvVar{{Name: "SECRET_A", Value: "x"}} }), nil, Exec{Image: "i"}, "k-g1", "", "its template sets SECRET_A itself, which wins over the Secret: take it out"},
		{"a volume of the name", app, []corev1.Volume{volume("fernet-exec", "x")}, Exec{Image: "i"}, "k-g1", "", "the template has a volume fernet-exec of another kind"},
		{"a mount of the path", with(func(c *corev1.Container) { c.VolumeMounts = []corev1.VolumeMount{{Name: "x", MountPath: "/fernet/"}} }), nil, Exec{Image: "i"}, "k-g1", "", "/fernet, where fernet-exec goes, is the mount path of volume x"},
		{"other files", with(func(c *corev1.Container) { c.VolumeMounts = []corev1.VolumeMount{{Name: "all", MountPath: "/etc/f"}} }), []corev1.Volume{projected("all", "web-g1")}, Exec{Image: "i"}, "k-g1", "/etc/f", "volume all at /etc/f has more than our Secrets, and fernet-exec opens every file there: choose another"},
	} {
		w := deploymentOf(tc.container)
		w.Template.Spec.Volumes = tc.volumes
		wiring := &Wiring{Tokens: oneToken("SECRET_A", 100), Keyring: tc.keyring, MountPath: tc.mountPath, Exec: &tc.exec}
		_, err := wiring.Fit(w)
		if got := fmt.Sprintf("%v: %s", err, hint.Of(err)); !strings.Contains(got, "container app: ") && tc.name != "no image" || !strings.Contains(got, tc.says) {
			t.Errorf("%s: %s", tc.name, got)
		}
		if wiring.Patch(w) != nil || wiring.Back(w) != nil || wiring.Compare(w, w) != Otherwise {
			t.Errorf("%s: there is a patch all the same", tc.name)
		}
	}
}

func TestExecIsNotRefused(t *testing.T) {
	ours := envFrom("web-g1")
	with := func(change func(c *corev1.Container)) corev1.Container {
		c := corev1.Container{Name: "app", Image: "example.com/app", Command: []string{"/app"}}
		change(&c)
		return c
	}
	for name, c := range map[string]corev1.Container{
		"an escaped variable":     with(func(c *corev1.Container) { c.Args = []string{"$$(SECRET_A)", "$(OTHER)"} }),
		"another Secret may have": with(func(c *corev1.Container) { c.EnvFrom = []corev1.EnvFromSource{ours, envFrom("my-keys")} }),
		"a key of its own":        with(func(c *corev1.Container) { c.Env = []corev1.EnvVar{env("FERNET_KEY", "my-keys")} }),
	} {
		keyring := ""
		if name == "an escaped variable" {
			keyring = "k-g1"
		}
		if _, err := (&Wiring{Tokens: oneToken("SECRET_A", 100), Keyring: keyring, Exec: &Exec{Image: "i"}}).Fit(deploymentOf(c)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMissingFlags(t *testing.T) {
	wanted := []flag{{"--require", "A"}, {"--require", "B"}, {"--dir", "/d"}}
	for line, want := range map[string]string{
		"":                                       "--require A --require B --dir /d",
		"--require A --dir /d -- app":            "--require B",
		"-require=A --require=B -dir=/d app":     "",
		"--require * -- app --dir /d":            "--dir /d",
		"--keep-keys --require A -- --require B": "--require B --dir /d",
		"--skip A --require B --dir /e -- app":   "--require A --dir /d",
		"app --require A":                        "--require A --require B --dir /d",
	} {
		if got := words(missingFlags(strings.Fields(line), wanted)); strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// Half of a wiring is neither before nor after; who took some of it away is the last to
// have changed it.
func TestWiringCompares(t *testing.T) {
	wiring := &Wiring{Tokens: oneToken("A", 100), Keyring: "k-g1"}
	before := deploymentOf(corev1.Container{Name: "app"})
	half := deploymentOf(corev1.Container{Name: "app", EnvFrom: []corev1.EnvFromSource{envFrom("web-g1")}})
	whole := deploymentOf(corev1.Container{Name: "app", EnvFrom: []corev1.EnvFromSource{envFrom("web-g1"), envFrom("k-g1")}})
	other := deploymentOf(corev1.Container{Name: "other"}, corev1.Container{Name: "app"})
	for i, tc := range []struct {
		now  Workload
		want Sight
	}{{before, Untouched}, {half, Otherwise}, {whole, Applied}, {other, Otherwise}} {
		if got := wiring.Compare(before, tc.now); got != tc.want {
			t.Errorf("%d: %v, want %v", i, got, tc.want)
		}
	}
	later := before
	later.Generation++
	if wiring.Stale(before, before) || !wiring.Stale(before, later) {
		t.Error("a wiring is for one generation")
	}
	half.ManagedFields = []metav1.ManagedFieldsEntry{at(1, entry("kubectl", update, "")), at(3, entry("argocd-controller", update, "")), at(2, entry("ci", update, "")), at(4, entry("kubectl-fernet", update, ""))}
	if is, who := wiring.Reverted(half); !is || who != "argocd-controller" {
		t.Errorf("half is taken back: %v, by %q", is, who)
	}
	if is, _ := wiring.Reverted(whole); is {
		t.Error("what is whole was taken back")
	}
}

// A container that has an older keyring gets no token that this may not open: it follows
// first. What it has already stays.
func TestOlderKeyringGetsNoNewTokens(t *testing.T) {
	next := func(name string) string { return map[string]string{"k-g1": "k-g2", "web-g1": "web-g2"}[name] }
	tokens := []Tokens{{Secret: "web-g2", Length: map[string]int{"A": 100}}}
	files := corev1.Container{Name: "app", VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}}
	for _, tc := range []struct {
		name      string
		container corev1.Container
		volumes   []corev1.Volume
		path      string
		refused   bool
	}{
		{"the keyring alone", corev1.Container{Name: "app", EnvFrom: []corev1.EnvFromSource{envFrom("k-g1")}}, nil, "", true},
		{"both", corev1.Container{Name: "app", EnvFrom: []corev1.EnvFromSource{envFrom("k-g1"), envFrom("web-g1")}}, nil, "", false},
		{"the current keyring", corev1.Container{Name: "app", EnvFrom: []corev1.EnvFromSource{envFrom("k-g2")}}, nil, "", false},
		{"older tokens alone", corev1.Container{Name: "app", EnvFrom: []corev1.EnvFromSource{envFrom("web-g1")}}, nil, "", false},
		{"files with the keyring alone", files, []corev1.Volume{projected("v", "k-g1")}, "/v", true},
		{"one variable of it", corev1.Container{Name: "app", Env: []corev1.EnvVar{env("FERNET_KEY", "k-g1")}}, nil, "", true},
		{"elsewhere as files", files, []corev1.Volume{volume("v", "k-g1")}, "/w", true},
		{"files with both", files, []corev1.Volume{projected("v", "k-g1", "web-g1")}, "/v", false},
	} {
		w := deploymentOf(tc.container)
		w.Template.Spec.Volumes = tc.volumes
		_, err := (&Wiring{Tokens: tokens, Keyring: "k-g2", MountPath: tc.path, Next: next}).Fit(w)
		if (err != nil) != tc.refused {
			t.Errorf("%s: %v", tc.name, err)
		}
		if way := hint.Of(err); tc.refused && way != "first let it follow: kubectl fernet rollout, or the current name in its manifest" {
			t.Errorf("%s: hint %q", tc.name, way)
		}
	}
}

// What stands after -- is the command of one container.
func TestOneCommandIsForOneContainer(t *testing.T) {
	wiring := &Wiring{Containers: []string{"*"}, Tokens: oneToken("A", 100), Keyring: "k-g1", Exec: &Exec{Image: "i", Command: []string{"/app"}}}
	if _, err := wiring.Fit(deploymentOf(corev1.Container{Name: "app"}, corev1.Container{Name: "proxy"})); err == nil || hint.Of(err) != "-c names it; then the same for the other one" {
		t.Errorf("two containers without a command: %v, %s", err, hint.Of(err))
	}
	if _, err := wiring.Fit(deploymentOf(corev1.Container{Name: "app"})); err != nil {
		t.Error(err)
	}
}

// A container that was not chosen gets neither tokens nor key by a volume that it shares.
func TestOthersGetNothing(t *testing.T) {
	mount := func(name, volume, at string) corev1.Container {
		return corev1.Container{Name: name, VolumeMounts: []corev1.VolumeMount{{Name: volume, MountPath: at}}}
	}
	w := deploymentOf(corev1.Container{Name: "app"}, mount("proxy", "fernet", "/p"))
	w.Template.Spec.Volumes = []corev1.Volume{projected("fernet", "web-g1")}
	wiring := &Wiring{Containers: []string{"app"}, Tokens: oneToken("A", 100), Keyring: "k-g1", MountPath: "/v/"}
	f, err := wiring.Fit(w)
	if err != nil || len(f.added.Spec.Volumes) != 1 || f.added.Spec.Volumes[0].Name != "fernet-2" {
		t.Errorf("a volume that proxy mounts too: %v, %+v", err, f.added.Spec.Volumes)
	}
	w.Template.Spec.Containers[0] = mount("app", "fernet", "/v")
	if _, err := wiring.Fit(w); err == nil || hint.Of(err) != "choose another --mount-path, or these containers too" {
		t.Errorf("at the path itself: %v, %s", err, hint.Of(err))
	}
	wiring.Containers = []string{"*"}
	w.Template.Spec.Containers[1].VolumeMounts[0].MountPath = "/v"
	if f, err := wiring.Fit(w); err != nil || len(f.steps) != 1 {
		t.Errorf("both are chosen: %v, %s", err, encode(f.steps))
	}
}

// A fragment has what was added, and nothing else.
func TestFragment(t *testing.T) {
	wiring := &Wiring{Tokens: oneToken("A", 100)}
	f, err := wiring.Fit(Workload{Kind: CronJob, Template: deploymentOf(corev1.Container{Name: "app", Image: "x", Args: []string{"y"}}).Template})
	want := map[string]any{"spec": map[string]any{"jobTemplate": map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
		"containers": []any{map[string]any{"name": "app", "envFrom": []any{map[string]any{"secretRef": map[string]any{"name": "web-g1"}}}}},
	}}}}}}
	if got := f.Fragment(CronJob); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
