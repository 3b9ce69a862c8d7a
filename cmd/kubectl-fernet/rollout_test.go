// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// rotatedPlace is a place whose entries have two generations each, the first under
// testKey and the second under nextKey.
type rotatedPlace struct{ place }

const (
	nextKey   = leakPrevious
	nextKeyID = "kbf932118"
)

func newRotatedPlace(t *testing.T, entries int) rotatedPlace {
	t.Helper()
	p := rotatedPlace{newPlace(t, entries)}
	p.must("push")
	env := filepath.Join(p.dir, ".env")
	write(t, env, strings.Replace(string(read(t, env)), "KEY="+testKey, "KEY="+nextKey+"\nKEY_PREVIOUS="+testKey, 1))
	p.must("rotate", "--yes")
	return p
}

func (p rotatedPlace) command(kubeconfig string, args ...string) *exec.Cmd {
	cmd := exec.Command("kubectl-fernet", append(args, "-n", p.namespace)...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	return cmd
}

// fernet runs the plugin, past the proxy if there is one.
func (p rotatedPlace) fernet(proxy *faultproxy.Proxy, args ...string) (code int, out string) {
	p.t.Helper()
	kubeconfig := testkube.Kubeconfig(p.t)
	if proxy != nil {
		kubeconfig = proxyKubeconfig(p.t, proxy)
	}
	said, err := p.command(kubeconfig, args...).CombinedOutput()
	return exitCode(p.t, err), string(said)
}

// must runs the plugin, which has to end with 0.
func (p rotatedPlace) must(args ...string) string {
	p.t.Helper()
	code, out := p.fernet(nil, args...)
	if code != 0 {
		p.t.Fatalf("%s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// kubectl runs kubectl as the administrator.
func (p rotatedPlace) kubectl(manifest string, args ...string) string {
	p.t.Helper()
	cmd := exec.Command(filepath.Join(testkube.Root(p.t), "bin", "kubectl"), append(args, "-n", p.namespace, "--kubeconfig", testkube.Kubeconfig(p.t))...)
	cmd.Stdin = strings.NewReader(manifest)
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// web is a Deployment whose volumes are Secrets.
func web(name string, secrets ...string) string {
	text := `apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: app, image: i}]
      volumes:
`
	for _, secret := range secrets {
		text += "      - {name: of-" + secret + ", secret: {secretName: " + secret + "}}\n"
	}
	return strings.ReplaceAll(text, "NAME", name)
}

// names gives the Secrets that a Deployment's volumes name.
func (p rotatedPlace) names(deployment string) string {
	p.t.Helper()
	return p.kubectl("", "get", "deployment", deployment, "-o", "jsonpath={.spec.template.spec.volumes[*].secret.secretName}")
}

// on picks the requests of a method, to a path that ends so.
func on(method, suffix string, action faultproxy.Action) faultproxy.Rule {
	return func(r faultproxy.Request) faultproxy.Action {
		if r.Method == method && strings.HasSuffix(r.Path, suffix) && (method != http.MethodPatch || !strings.Contains(r.RawQuery, "dryRun")) {
			return action
		}
		return nil
	}
}

// held starts a command whose first request of that method and path waits until
// release, and returns when it does.
func (p rotatedPlace) held(method, suffix string, args ...string) (run *running, release func(), proxy *faultproxy.Proxy) {
	p.t.Helper()
	proxy = startProxy(p.t)
	wait := make(chan struct{})
	proxy.Reset(faultproxy.First(1, on(method, suffix, faultproxy.Hold(wait, nil))))
	run = start(p.command(proxyKubeconfig(p.t, proxy), args...))
	run.await(p.t, func() bool { return asked(proxy, method, suffix) > 0 })
	return run, func() { close(wait) }, proxy
}

func asked(proxy *faultproxy.Proxy, method, suffix string) (n int) {
	for _, r := range proxy.Requests() {
		if r.Method == method && strings.HasSuffix(r.Path, suffix) && !strings.Contains(r.RawQuery, "dryRun") {
			n++
		}
	}
	return n
}

// A workload that somebody changed between the look at it and the patch is looked
// at and planned again.
func TestWorkloadChangedBeforeItsPatch(t *testing.T) {
	const (
		shifted  = `[{"op":"remove","path":"/spec/template/spec/volumes/0"}]`
		another  = `[{"op":"replace","path":"/spec/template/spec/volumes/0/secret/secretName","value":"somebodys"}]`
		done     = `[{"op":"replace","path":"/spec/template/spec/volumes/0/secret/secretName","value":"secret-00-g2"},{"op":"replace","path":"/spec/template/spec/volumes/1/secret/secretName","value":"secret-01-g2"}]`
		imageToo = `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"another"}]`
	)
	for _, tc := range []struct {
		name, change, names, image string
		patches                    int
	}{
		{"another image", imageToo, "secret-00-g2 secret-01-g2", "another", 2},
		{"one reference is gone", shifted, "secret-01-g2", "i", 2},
		{"one reference is another", another, "somebodys secret-01-g2", "i", 2},
		{"all done by somebody else", done, "secret-00-g2 secret-01-g2", "i", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newRotatedPlace(t, 2)
			p.kubectl(web("web", "secret-00", "secret-01"), "create", "-f", "-")
			run, release, proxy := p.held(http.MethodPatch, "/deployments/web", "rollout", "--yes", "--apps-have-key", nextKeyID)
			p.kubectl("", "patch", "deployment", "web", "--type=json", "-p", tc.change)
			release()
			code, out := run.ended(t)
			if code != 0 || !strings.Contains(out, "deployment/web patched and rolled out\n") {
				t.Errorf("exit code %d\n%s", code, out)
			}
			image := p.kubectl("", "get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
			if names := p.names("web"); names != tc.names || image != tc.image {
				t.Errorf("it names %s, its image is %s", names, image)
			}
			if n := asked(proxy, http.MethodPatch, "/deployments/web"); n != tc.patches {
				t.Errorf("%d patches", n)
			}
		})
	}
}

// What lost its keyring meanwhile is not patched.
func TestWorkloadThatLosesItsKeyringBeforeItsPatch(t *testing.T) {
	p := newRotatedPlace(t, 1)
	p.must("rotate", "--key-secret", "fernet-key", "--new-key", "--yes") // the third generation, and the keyring
	p.kubectl(web("web", "fernet-key-g1", "secret-00"), "create", "-f", "-")
	run, release, _ := p.held(http.MethodPatch, "/deployments/web", "rollout", "--yes")
	p.kubectl("", "patch", "deployment", "web", "--type=json", "-p", `[{"op":"remove","path":"/spec/template/spec/volumes/0"}]`)
	release()
	code, out := run.ended(t)
	if code != 2 || !strings.Contains(out, "error: deployment/web in namespace \""+p.namespace+"\": it was changed meanwhile, and its pods are not known to have key k") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if names := p.names("web"); names != "secret-00" {
		t.Errorf("it names %s", names)
	}
}

// A patch whose reply is lost, or lies, is looked at; the next run finishes.
func TestDoubtfulPatches(t *testing.T) {
	for _, tc := range []struct {
		name   string
		action faultproxy.Action
		code   int
		after  string // what the Deployment names then
	}{
		{"reply lost", faultproxy.DropReply(), 0, "secret-00-g2"},
		{"504 after success", faultproxy.StatusAfter(504, nil), 0, "secret-00-g2"},
		{"503 with Retry-After after success", faultproxy.StatusAfter(503, faultproxy.RetryAfter(1)), 0, "secret-00-g2"},
		{"reset before it arrived", faultproxy.ResetBefore(), 2, "secret-00"},
		{"500", faultproxy.Status(500, nil, nil), 2, "secret-00"},
		{"403", faultproxy.Status(403, nil, nil), 2, "secret-00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, proxy := newRotatedPlace(t, 1), startProxy(t)
			p.kubectl(web("web", "secret-00"), "create", "-f", "-")
			proxy.Reset(faultproxy.First(1, on(http.MethodPatch, "/deployments/web", tc.action)))
			code, out := p.fernet(proxy, "rollout", "--yes", "--apps-have-key", nextKeyID)
			if names := p.names("web"); code != tc.code || names != tc.after || (code == 0) != strings.Contains(out, "deployment/web patched and rolled out\n") {
				t.Errorf("exit code %d, it names %s\n%s", code, names, out)
			}
			p.must("rollout", "--yes", "--apps-have-key", nextKeyID)
			if names, generation := p.names("web"), p.kubectl("", "get", "deployment", "web", "-o", "jsonpath={.metadata.generation}"); names != "secret-00-g2" || generation != "2" {
				t.Errorf("after the next run: %s, generation %s", names, generation)
			}
		})
	}
}

func interrupt(t *testing.T, run *running) {
	t.Helper()
	if err := run.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}

// Ctrl-C while a rollout is waited for ends with 130: what was patched stays
// patched, what comes after was not touched, and the same command goes on.
func TestInterruptedRollout(t *testing.T) {
	p, proxy := newRotatedPlace(t, 1), startProxy(t)
	for _, name := range []string{"a-web", "b-web"} {
		p.kubectl(web(name, "secret-00"), "create", "-f", "-")
	}
	p.kubectl("", "wait", "--for=condition=Available", "deployment", "--all", "--timeout=2m")
	p.kubectl(`{"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "huge"}, "spec": {"limits": [{"type": "Container", "default": {"cpu": "1001"}}]}}`, "create", "-f", "-") // new pods fit on no node
	run := start(p.command(proxyKubeconfig(t, proxy), "rollout", "--yes", "--max-progressing", "1", "--apps-have-key", nextKeyID))
	run.await(t, func() bool {
		return asked(proxy, http.MethodPatch, "/deployments/a-web") == 1 && p.names("a-web") == "secret-00-g2"
	})
	interrupt(t, run)
	code, out := run.ended(t)
	if code != 130 || !strings.HasSuffix(out, "interrupted: the same command finishes the work\n") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if a, b := p.names("a-web"), p.names("b-web"); a != "secret-00-g2" || b != "secret-00" {
		t.Errorf("they name %s and %s", a, b)
	}
	p.kubectl("", "delete", "limitrange", "huge")
	p.kubectl("", "rollout", "restart", "deployment", "a-web")
	out = p.must("rollout", "--yes", "--apps-have-key", nextKeyID)
	if !strings.Contains(out, "deployment/a-web unchanged") || !strings.Contains(out, "deployment/b-web patched and rolled out\n") {
		t.Errorf("the next run:\n%s", out)
	}
}

// The manifest of a server-side apply still names the old Secret after kubectl rollout undo,
// or another one's change of the list that the reference is in, took the reference over; a
// retire after the next rollout keeps the Secret.
func TestManifestBehindAfterOthersTookTheReference(t *testing.T) {
	for _, tc := range []struct {
		name, manifest string
		change         func(p rotatedPlace)
	}{
		{"undo", web("web", "secret-00"), func(p rotatedPlace) {
			p.must("rollout", "--yes", "--apps-have-key", nextKeyID)
			p.kubectl("", "rollout", "undo", "deployment/web")
		}},
		{"a list changed by hand", strings.Replace(web("web", "secret-00"), "image: i}", "image: i, envFrom: [{secretRef: {name: secret-00}}]}", 1), func(p rotatedPlace) {
			p.kubectl("", "patch", "deployment", "web", "--type=json", "-p", `[{"op":"remove","path":"/spec/template/spec/volumes"},{"op":"add","path":"/spec/template/spec/containers/0/envFrom/-","value":{"secretRef":{"name":"somebodys"}}}]`)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newRotatedPlace(t, 1)
			p.kubectl(tc.manifest, "apply", "--server-side", "--field-manager=team", "-f", "-")
			tc.change(p)
			p.must("rollout", "--yes", "--apps-have-key", nextKeyID)
			if code, out := p.fernet(nil, "retire", "--skip-cluster-check", "--ignore", "history", "--yes"); code != 1 || p.uid("secret-00") == "" {
				t.Errorf("exit code %d\n%s", code, out)
			}
		})
	}
}
