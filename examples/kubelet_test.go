// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// data is that of Secrets or ConfigMaps, by name and key.
type data map[string]map[string]string

// document is what the tests read of any object in a pod.yaml.
type document struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Data              map[string]string `json:"data"`
}

// pod is what a kubelet makes of the manifest in a folder: volumes are folders here, and
// the program of a container gets the environment of that container and those folders in
// the place of its own paths.
type pod struct {
	t       *testing.T
	spec    corev1.PodSpec
	secrets data
	folders map[string]string // by volume
}

// newPod has the init containers still to run.
func newPod(t *testing.T, folder string, secrets data) *pod {
	t.Helper()
	p := &pod{t: t, secrets: secrets, folders: map[string]string{}}
	configs := data{}
	for _, text := range documents(t, folder) {
		var at document
		decode(t, text, &at)
		switch at.Kind {
		case "Deployment":
			var deployment appsv1.Deployment
			decode(t, text, &deployment)
			p.spec = deployment.Spec.Template.Spec
		case "StatefulSet":
			var set appsv1.StatefulSet
			decode(t, text, &set)
			p.spec = set.Spec.Template.Spec
			for _, claim := range set.Spec.VolumeClaimTemplates {
				p.folders[claim.Name] = t.TempDir()
			}
		case "ConfigMap":
			configs[at.Name] = at.Data
		}
	}
	for _, v := range p.spec.Volumes {
		p.folders[v.Name] = p.volume(v, configs)
	}
	return p
}

// documents gives those of a pod.yaml.
func documents(t *testing.T, folder string) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(folder, "pod.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(content), "\n---\n")
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

// volume gives the folder of a volume.
func (p *pod) volume(v corev1.Volume, configs data) string {
	p.t.Helper()
	files := map[string]string{}
	switch {
	case v.EmptyDir != nil && v.EmptyDir.Medium == corev1.StorageMediumMemory:
		return memory(p.t)
	case v.EmptyDir != nil:
		return p.t.TempDir()
	case v.ConfigMap != nil:
		maps.Copy(files, p.of(configs, v.ConfigMap.Name))
	case v.Projected != nil:
		for _, source := range v.Projected.Sources {
			maps.Copy(files, p.of(p.secrets, source.Secret.Name))
		}
	default:
		p.t.Fatalf("volume %s: no test makes one of this kind", v.Name)
	}
	return mount(p.t, files)
}

// of gives the data of an object that has to be there; else no container starts.
func (p *pod) of(all data, name string) map[string]string {
	p.t.Helper()
	if all[name] == nil {
		p.t.Fatalf("the pod names %s, which is not there", name)
	}
	return all[name]
}

// memory makes a folder in a file system in memory.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "examples") //nolint:usetesting // t.TempDir may be on a disk
	if err != nil {
		t.Fatalf("%v; the tests need a tmpfs there", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// container gives the container or init container of a name.
func (p *pod) container(name string) corev1.Container {
	p.t.Helper()
	all := slices.Concat(p.spec.InitContainers, p.spec.Containers)
	i := slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		p.t.Fatalf("no container %s", name)
	}
	return all[i]
}

// environment gives that of a container. Of two sources the later one wins, and what the
// manifest names singly wins over both.
func (p *pod) environment(name string) []string {
	p.t.Helper()
	c, all := p.container(name), map[string]string{}
	for _, source := range c.EnvFrom {
		maps.Copy(all, p.of(p.secrets, source.SecretRef.Name))
	}
	for _, variable := range c.Env {
		all[variable.Name] = variable.Value
	}
	var environment []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		environment = append(environment, name+"="+all[name])
	}
	return environment
}

// here gives the path in this file system of one in a container.
func (p *pod) here(name, path string) string {
	p.t.Helper()
	for _, m := range p.container(name).VolumeMounts {
		if below, found := strings.CutPrefix(path+"/", m.MountPath+"/"); found {
			return filepath.Join(p.folders[m.Name], below)
		}
	}
	return path
}

// command gives that of a container; programs are those of its image, by path.
func (p *pod) command(name string, programs map[string]string) *exec.Cmd {
	p.t.Helper()
	var words []string
	for _, word := range p.container(name).Command {
		program, known := programs[word]
		if !known {
			program = p.here(name, word)
		}
		words = append(words, program)
	}
	if len(words) == 0 {
		p.t.Fatalf("container %s: its manifest names no command", name)
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = p.environment(name)
	return cmd
}

// run runs one to its end.
func run(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// mount makes a folder as the kubelet makes a volume.
func mount(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(dir, "..2026_11_21"), 0o700))
	must(os.Symlink("..2026_11_21", filepath.Join(dir, "..data")))
	for name, content := range files {
		must(os.WriteFile(filepath.Join(dir, "..data", name), []byte(content), 0o600))
		must(os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
	}
	return dir
}
