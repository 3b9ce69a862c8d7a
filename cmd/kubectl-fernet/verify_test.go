// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// tampered is a pushed place of two entries with somebody who changes things.
type tampered struct {
	place
	other   string // a namespace where nothing of ours is
	secrets corev1client.SecretInterface
}

func (p tampered) get(name string) *corev1.Secret {
	p.t.Helper()
	s, err := p.secrets.Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// replace deletes a Secret, which is immutable, and creates another in its place.
func (p tampered) replace(name string, change func(*corev1.Secret)) {
	p.t.Helper()
	s := p.get(name)
	if err := p.secrets.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
		p.t.Fatal(err)
	}
	s.ObjectMeta = metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, Labels: s.Labels, Annotations: s.Annotations}
	change(s)
	p.create(s)
}

func (p tampered) create(s *corev1.Secret) {
	p.t.Helper()
	client := corev1client.NewForConfigOrDie(testkube.RESTConfig(p.t)).Secrets(s.Namespace)
	if _, err := client.Create(context.Background(), s, metav1.CreateOptions{}); err != nil {
		p.t.Fatal(err)
	}
}

// copy creates a Secret like another one elsewhere.
func (p tampered) copy(name, to, namespace string) {
	s := p.get(name)
	s.ObjectMeta = metav1.ObjectMeta{Name: to, Namespace: namespace, Labels: s.Labels, Annotations: s.Annotations}
	p.create(s)
}

func (p tampered) patch(name, patch string) {
	p.t.Helper()
	if _, err := p.secrets.Patch(context.Background(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		p.t.Fatal(err)
	}
}

func (p tampered) ledger(change func(lines []string) []string) {
	p.t.Helper()
	file := filepath.Join(p.dir, ledgerName)
	lines := strings.SplitAfter(strings.TrimSuffix(string(read(p.t, file)), "\n"), "\n")
	lines[len(lines)-1] += "\n"
	write(p.t, file, strings.Join(change(lines), ""))
}

func flip(text string) string {
	i := len(text) / 2
	other := byte('A')
	if text[i] == other {
		other = 'B'
	}
	return text[:i] + string(other) + text[i+1:]
}

// created finds the created row of a Secret.
func created(lines []string, secret string) int {
	return slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, ",created,") && strings.Contains(l, ","+secret+",") })
}

// tamperings are what somebody can do, and what verify then says: code secret, ….
var tamperings = []struct {
	name   string
	tamper func(p tampered)
	want   string
}{
	{"nothing", func(tampered) {}, ""},
	{"two tokens swapped", func(p tampered) {
		a, b := p.get("secret-00").Data["SECRET_00"], p.get("secret-01").Data["SECRET_01"]
		p.replace("secret-00", func(s *corev1.Secret) { s.Data["SECRET_00"] = b })
		p.replace("secret-01", func(s *corev1.Secret) { s.Data["SECRET_01"] = a })
	}, "FERNET002 secret-00, FERNET002 secret-01"},
	{"copied to another name", func(p tampered) { p.copy("secret-00", "secret-00-g7", p.namespace) }, "FERNET002 secret-00-g7"},
	{"copied to a name of nobody", func(p tampered) { p.copy("secret-00", "elsewhere", p.namespace) }, "FERNET002 elsewhere"},
	{"copied to another namespace", func(p tampered) { p.copy("secret-00", "secret-00", p.other) }, "FERNET002 secret-00"},
	{"a byte flipped", func(p tampered) {
		p.replace("secret-00", func(s *corev1.Secret) { s.Data["SECRET_00"] = []byte(flip(string(s.Data["SECRET_00"]))) })
	}, "FERNET001 secret-00"},
	{"emptied", func(p tampered) { p.replace("secret-00", func(s *corev1.Secret) { s.Data = nil }) }, "FERNET004 secret-00"},
	{"a second data key", func(p tampered) {
		p.replace("secret-00", func(s *corev1.Secret) { s.Data["MORE"] = []byte("x") })
	}, "FERNET004 secret-00"},
	{"its data key renamed", func(p tampered) {
		p.replace("secret-00", func(s *corev1.Secret) { s.Data = map[string][]byte{"SECRET_X": s.Data["SECRET_00"]} })
	}, "FERNET002 secret-00"},
	{"its type changed", func(p tampered) {
		p.replace("secret-00", func(s *corev1.Secret) { s.Type = "example.com/x" })
	}, "FERNET011 secret-00"},
	{"swapped and called something else", func(p tampered) {
		other := p.get("secret-01").Data["SECRET_01"]
		p.replace("secret-00", func(s *corev1.Secret) {
			s.Data["SECRET_00"], s.Labels["kubectl-fernet.github.io/kind"] = other, "x"
		})
	}, "FERNET002 secret-00"},
	{"swapped and called a keyring", func(p tampered) {
		other := p.get("secret-01").Data["SECRET_01"]
		p.replace("secret-00", func(s *corev1.Secret) {
			s.Data["SECRET_00"], s.Labels["kubectl-fernet.github.io/kind"] = other, "keyring"
		})
	}, "FERNET002 secret-00"},
	{"called a keyring", func(p tampered) {
		p.patch("secret-00", `{"metadata":{"labels":{"kubectl-fernet.github.io/kind":"keyring"}}}`)
	}, "FERNET011 secret-00"},
	{"in the middle of its deletion", func(p tampered) {
		p.patch("secret-00", `{"metadata":{"finalizers":["example.com/held"]}}`)
		_ = p.secrets.Delete(context.Background(), "secret-00", metav1.DeleteOptions{})
		p.t.Cleanup(func() { p.patch("secret-00", `{"metadata":{"finalizers":null}}`) })
	}, "FERNET006 secret-00"},
	{"deleted", func(p tampered) {
		_ = p.secrets.Delete(context.Background(), "secret-00", metav1.DeleteOptions{})
	}, "FERNET006 secret-00"},
	{"made mutable", func(p tampered) { p.replace("secret-00", func(s *corev1.Secret) { s.Immutable = nil }) }, "FERNET010 secret-00"},
	{"label removed", func(p tampered) {
		p.patch("secret-00", `{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}`)
	}, "FERNET011 secret-00"},
	{"key id edited", func(p tampered) {
		p.patch("secret-00", `{"metadata":{"labels":{"kubectl-fernet.github.io/key-id":"k00000000"}}}`)
	}, "FERNET009 secret-00"},
	{"annotation edited", func(p tampered) {
		p.patch("secret-00", `{"metadata":{"annotations":{"kubectl-fernet.github.io/env-key":"SECRET_01"}}}`)
	}, "FERNET011 secret-00"},
	{"binding removed", func(p tampered) {
		p.patch("secret-00", `{"metadata":{"annotations":{"kubectl-fernet.github.io/binding":null}}}`)
	}, "FERNET003 secret-00"},
	{"an old object put back after its key was dropped", func(p tampered) {
		old := p.get("secret-00")
		p.run("rotate", "--yes")
		p.run("retire", "--skip-cluster-check", "--yes")
		old.ObjectMeta = metav1.ObjectMeta{Name: old.Name, Namespace: old.Namespace, Labels: old.Labels, Annotations: old.Annotations}
		p.create(old)
	}, "FERNET005 secret-00"},
	{"an old object put back", func(p tampered) {
		old := p.get("secret-00")
		p.run("rotate", "--yes")
		p.run("retire", "--skip-cluster-check", "--yes")
		old.ObjectMeta = metav1.ObjectMeta{Name: old.Name, Namespace: old.Namespace, Labels: old.Labels, Annotations: old.Annotations}
		p.create(old)
		p.withPrevious()
	}, "FERNET005 secret-00"},
	{"a row's binding edited", func(p tampered) {
		p.ledger(func(lines []string) []string {
			for i := range lines {
				if cells := strings.Split(lines[i], ","); cells[5] == "secret-00" {
					cells[10] = cells[10][:5] + flip(cells[10][5:])
					lines[i] = strings.Join(cells, ",")
				}
			}
			return lines
		})
	}, "FERNET012 secret-00"},
	{"a row's binding removed", func(p tampered) {
		p.ledger(func(lines []string) []string {
			for i := range lines {
				if cells := strings.Split(lines[i], ","); cells[5] == "secret-00" {
					cells[10] = ""
					lines[i] = strings.Join(cells, ",")
				}
			}
			return lines
		})
	}, "FERNET012 secret-00"},
	{"one of two rows edited", func(p tampered) {
		p.ledger(func(lines []string) []string {
			i := created(lines, "secret-00")
			lines[i] = strings.Replace(lines[i], ",SECRET_00,", ",SECRET_0X,", 1)
			return lines
		})
	}, "FERNET012 secret-00"},
	{"a row put under another name", func(p tampered) {
		p.ledger(func(lines []string) []string {
			i := created(lines, "secret-00")
			lines[i] = strings.Replace(lines[i], ",secret-00,", ",secret-01,", 1)
			return lines
		})
	}, "FERNET012 secret-01"},
	{"a created row deleted: the planned one, which is signed, has the token", func(p tampered) {
		p.ledger(func(lines []string) []string { i := created(lines, "secret-00"); return slices.Delete(lines, i, i+1) })
	}, ""},
	{"the rows of a Secret deleted", func(p tampered) {
		p.ledger(func(lines []string) []string {
			return slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, ",secret-00,") })
		})
	}, "FERNET007 secret-00"},
	{"rows copied and not signed", func(p tampered) {
		p.ledger(func(lines []string) []string {
			cells := strings.Split(lines[created(lines, "secret-00")], ",")
			cells[2], cells[13] = "deleted", "\n"
			return append(lines, strings.Join(cells, ","))
		})
	}, "FERNET015 fernet-ledger.csv:6"},
	{"a deleted row forged under a key of nobody", func(p tampered) {
		p.ledger(func(lines []string) []string {
			cells := strings.Split(lines[created(lines, "secret-00")], ",")
			cells[2], cells[13] = "deleted", "v1:k00000000:AAAAAAAAAAAAAAAAAAAAAA\n"
			return append(lines, strings.Join(cells, ","))
		})
	}, ""},
	{"a deleted row forged under our key id", func(p tampered) {
		p.ledger(func(lines []string) []string {
			cells := strings.Split(lines[created(lines, "secret-00")], ",")
			cells[2] = "deleted"
			return append(lines, strings.Join(cells, ","))
		})
	}, "FERNET012 secret-00"},
	{"renamed by a transformer", func(p tampered) { p.copy("secret-00", "prod-secret-00", p.namespace) }, "FERNET016 prod-secret-00"},
	{"rows duplicated and reordered", func(p tampered) {
		p.ledger(func(lines []string) []string {
			rows := append(slices.Clone(lines[1:]), lines[1:]...)
			slices.Reverse(rows)
			return append(lines[:1], rows...)
		})
	}, ""},
	{"the file cut off", func(p tampered) {
		p.ledger(func(lines []string) []string { lines[1] = lines[1][:40]; return lines[:2] })
	}, "FERNET007 secret-00, FERNET007 secret-01"},
	{"readable by others, with its keys elsewhere", func(p tampered) {
		env := filepath.Join(p.dir, ".env")
		text := string(read(p.t, env))
		write(p.t, filepath.Join(p.dir, "key.env"), "KEY="+testKey+"\n")
		write(p.t, env, strings.Replace(text, "KEY="+testKey+"\n", "", 1))
		_ = os.Chmod(env, 0o644)
	}, "FERNET030 .env"},
	{"readable by others", func(p tampered) { _ = os.Chmod(filepath.Join(p.dir, ".env"), 0o644) }, "FERNET030 .env"},
	{"taken by somebody", func(p tampered) {
		write(p.t, filepath.Join(p.dir, ".env"), string(read(p.t, filepath.Join(p.dir, ".env")))+"SECRET_02=x\n")
		p.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "secret-02", Namespace: p.namespace}, Data: map[string][]byte{"a": []byte("b")}})
	}, "FERNET008 secret-02"},
}

// bundleTamperings are those of a bundle.
var bundleTamperings = []struct {
	name   string
	tamper func(p tampered)
	want   string
}{
	{"nothing", func(tampered) {}, ""},
	{"two tokens swapped", func(p tampered) {
		p.replace("web-g1", func(s *corev1.Secret) {
			s.Data["SECRET_00"], s.Data["SECRET_01"] = s.Data["SECRET_01"], s.Data["SECRET_00"]
		})
	}, "FERNET002 web-g1"},
	{"one taken out", func(p tampered) { p.replace("web-g1", func(s *corev1.Secret) { delete(s.Data, "SECRET_01") }) }, "FERNET002 web-g1"},
	{"one put in", func(p tampered) {
		p.replace("web-g1", func(s *corev1.Secret) { s.Data["SECRET_02"] = s.Data["SECRET_01"] })
	}, "FERNET002 web-g1"},
	{"one renamed", func(p tampered) {
		p.replace("web-g1", func(s *corev1.Secret) {
			s.Data["SECRET-01"] = s.Data["SECRET_01"]
			delete(s.Data, "SECRET_01")
		})
	}, "FERNET002 web-g1"},
	{"a value put in that is no token", func(p tampered) { p.replace("web-g1", func(s *corev1.Secret) { s.Data["MORE"] = []byte("x") }) }, "FERNET004 web-g1"},
	{"a byte of one flipped", func(p tampered) {
		p.replace("web-g1", func(s *corev1.Secret) { s.Data["SECRET_01"] = []byte(flip(string(s.Data["SECRET_01"]))) })
	}, "FERNET001 web-g1"},
	{"one of an older generation", func(p tampered) {
		p.older()
		old := p.get("web-g1").Data["SECRET_01"]
		p.replace("web-g2", func(s *corev1.Secret) { s.Data["SECRET_01"] = old })
	}, "FERNET002 web-g2"},
	{"one under the previous key", func(p tampered) {
		p.run("rotate", "--yes")
		old := p.get("web-g1").Data["SECRET_01"]
		p.replace("web-g2", func(s *corev1.Secret) { s.Data["SECRET_01"] = old })
	}, "FERNET002 web-g2"},
	{"all of an older generation", func(p tampered) {
		p.older()
		old := p.get("web-g1")
		p.replace("web-g2", func(s *corev1.Secret) { s.Data, s.Annotations = old.Data, old.Annotations })
	}, "FERNET002 web-g2"},
	{"copied to another number", func(p tampered) { p.copy("web-g1", "web-g7", p.namespace) }, "FERNET002 web-g7"},
	{"copied to another namespace", func(p tampered) { p.copy("web-g1", "web-g1", p.other) }, "FERNET002 web-g1"},
	{"emptied", func(p tampered) { p.replace("web-g1", func(s *corev1.Secret) { s.Data = nil }) }, "FERNET004 web-g1"},
	{"binding removed", func(p tampered) {
		p.patch("web-g1", `{"metadata":{"annotations":{"kubectl-fernet.github.io/binding":null}}}`)
	}, "FERNET003 web-g1"},
	{"binding edited", func(p tampered) {
		text := p.get("web-g1").Annotations["kubectl-fernet.github.io/binding"]
		p.patch("web-g1", `{"metadata":{"annotations":{"kubectl-fernet.github.io/binding":"`+text[:5]+flip(text[5:])+`"}}}`)
	}, "FERNET003 web-g1"},
	{"the number in its binding edited, with one taken out", func(p tampered) {
		p.replace("web-g1", func(s *corev1.Secret) {
			delete(s.Data, "SECRET_01")
			s.Annotations["kubectl-fernet.github.io/binding"] = strings.Replace(s.Annotations["kubectl-fernet.github.io/binding"], "v2:2:", "v2:1:", 1)
		})
	}, "FERNET002 web-g1"},
	{"label removed", func(p tampered) {
		p.patch("web-g1", `{"metadata":{"labels":{"kubectl-fernet.github.io/kind":null}}}`)
	}, "FERNET011 web-g1"},
	{"label and binding removed", func(p tampered) {
		p.patch("web-g1", `{"metadata":{"labels":{"kubectl-fernet.github.io/kind":null},"annotations":{"kubectl-fernet.github.io/binding":null}}}`)
	}, "FERNET003 web-g1, FERNET011 web-g1"},
	{"called a keyring", func(p tampered) {
		p.patch("web-g1", `{"metadata":{"labels":{"kubectl-fernet.github.io/kind":"keyring"}}}`)
	}, "FERNET011 web-g1"},
	{"made mutable", func(p tampered) { p.replace("web-g1", func(s *corev1.Secret) { s.Immutable = nil }) }, "FERNET010 web-g1"},
	{"deleted", func(p tampered) { _ = p.secrets.Delete(context.Background(), "web-g1", metav1.DeleteOptions{}) }, "FERNET006 web-g1"},
	{"put back after it was retired", func(p tampered) {
		old := p.get("web-g1")
		p.run("rotate", "--yes")
		p.run("retire", "--skip-cluster-check", "--yes")
		old.ObjectMeta = metav1.ObjectMeta{Name: old.Name, Namespace: old.Namespace, Labels: old.Labels, Annotations: old.Annotations}
		p.create(old)
	}, "FERNET005 web-g1"},
	{"the row of an entry deleted", func(p tampered) { p.rows(",SECRET_01,", func([]string) []string { return nil }) }, "FERNET018 web-g1"},
	{"the row of an entry deleted, and the Secret", func(p tampered) {
		p.rows(",SECRET_01,", func([]string) []string { return nil })
		_ = p.secrets.Delete(context.Background(), "web-g1", metav1.DeleteOptions{})
		p.refusesHalf()
	}, "FERNET006 web-g1, FERNET018 web-g1"},
	{"the row of an entry edited", func(p tampered) {
		p.rows(",SECRET_01,", func(cells []string) []string {
			cells[7] = "SECRET_02"
			return cells
		})
	}, "FERNET012 web-g1"},
	{"the row of an entry twice", func(p tampered) {
		p.ledger(func(lines []string) []string { return append(lines, lines[1]) })
	}, ""},
	{"the row of one more entry, not signed", func(p tampered) {
		p.ledger(func(lines []string) []string {
			cells := strings.Split(lines[1], ",")
			cells[7], cells[13] = "SECRET_02", "\n"
			return append(lines, strings.Join(cells, ","))
		})
	}, "FERNET015 fernet-ledger.csv:5"},
	{"the created row deleted: the planned ones, which are signed, have all tokens", func(p tampered) {
		p.ledger(func(lines []string) []string { i := created(lines, "web-g1"); return slices.Delete(lines, i, i+1) })
	}, ""},
	{"all rows deleted", func(p tampered) { p.ledger(func(lines []string) []string { return lines[:1] }) }, "FERNET007 web-g1"},
}

// older makes a second generation, in which SECRET_01 has another value.
func (p tampered) older() {
	env := filepath.Join(p.dir, ".env")
	write(p.t, env, strings.Replace(string(read(p.t, env)), "SECRET_01=", "SECRET_01=new-", 1))
	p.run("push", "--update")
}

// rows changes the cells of the rows with this text; nil removes one.
func (p tampered) rows(text string, change func(cells []string) []string) {
	p.ledger(func(lines []string) (left []string) {
		for _, line := range lines {
			if !strings.Contains(line, text) {
				left = append(left, line)
			} else if cells := change(strings.Split(line, ",")); cells != nil {
				left = append(left, strings.Join(cells, ","))
			}
		}
		return left
	})
}

// refusesHalf holds restore, with the key and without, to creating no half of a bundle.
func (p tampered) refusesHalf() {
	p.t.Helper()
	env := filepath.Join(p.dir, ".env")
	for _, file := range []string{env, env + ".away"} {
		cmd := exec.Command("kubectl-fernet", "restore", "--yes", "-n", p.namespace)
		cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "KUBECONFIG="+testkube.Kubeconfig(p.t))
		if file != env {
			_ = os.Rename(env, file)
		}
		if out, err := cmd.CombinedOutput(); exitCode(p.t, err) != 1 || !strings.Contains(string(out), "1 of its 2 entries") || len(p.place.secrets()) > 0 {
			p.t.Errorf("restore: %v\n%s", err, out)
		}
	}
	_ = os.Rename(env+".away", env)
}

// Each way of tampering is named by its code, and nothing else is.
func TestVerifyNamesWhatWasTamperedWithInABundle(t *testing.T) {
	for _, tt := range bundleTamperings {
		t.Run(tt.name, func(t *testing.T) {
			p := tampered{place: newPlace(t, 2), other: testkube.Namespace(t)}
			p.set("FERNET_BUNDLE=web\n")
			p.secrets = corev1client.NewForConfigOrDie(testkube.RESTConfig(t)).Secrets(p.namespace)
			if out, err := p.push(testkube.Kubeconfig(t)).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			tt.tamper(p)
			if got, text := p.verify(); got != tt.want {
				t.Errorf("found %q, want %q\n%s", got, tt.want, text)
			}
		})
	}
}

// Each way of tampering is named by its code, and nothing else is.
func TestVerifyNamesWhatWasTamperedWith(t *testing.T) {
	for _, tt := range tamperings {
		t.Run(tt.name, func(t *testing.T) {
			p := tampered{place: newPlace(t, 2), other: testkube.Namespace(t)}
			p.secrets = corev1client.NewForConfigOrDie(testkube.RESTConfig(t)).Secrets(p.namespace)
			if out, err := p.push(testkube.Kubeconfig(t), "--parallel", "1").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			tt.tamper(p)
			got, text := p.verify()
			if got != tt.want {
				t.Errorf("found %q, want %q\n%s", got, tt.want, text)
			}
		})
	}
}

var findingLine = regexp.MustCompile(`(?m)^(FERNET\d+) \w+: (?:secret/)?(\S+?)(?: in \S+)?(?: \(.*\))?: `)

// verify gives the codes and what they are about, and asserts the exit code.
func (p tampered) verify() (found, text string) {
	p.t.Helper()
	args := []string{"verify", "--namespaces", p.namespace + "," + p.other}
	if _, err := os.Stat(filepath.Join(p.dir, "key.env")); err == nil {
		args = append(args, "--key-file", "key.env")
	}
	cmd := exec.Command("kubectl-fernet", args...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "KUBECONFIG="+testkube.Kubeconfig(p.t))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	code := exitCode(p.t, cmd.Run())
	var all []string
	for _, m := range findingLine.FindAllStringSubmatch(stdout.String(), -1) {
		all = append(all, m[1]+" "+m[2])
	}
	if code != min(1, strings.Count(stdout.String(), " error: ")) {
		p.t.Errorf("exit code %d with %d findings", code, len(all))
	}
	return strings.Join(all, ", "), stdout.String() + stderr.String()
}

func (p tampered) run(args ...string) {
	p.t.Helper()
	cmd := exec.Command("kubectl-fernet", append(args, "-n", p.namespace)...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), "KUBECONFIG="+testkube.Kubeconfig(p.t))
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// withPrevious gives the .env the key that a retire dropped.
func (p tampered) withPrevious() {
	file := filepath.Join(p.dir, ".env")
	write(p.t, file, string(read(p.t, file))+"KEY_PREVIOUS="+testKey+"\n")
}
