// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

const (
	execName   = "fernet-exec" // of the program, its init container and its volume
	execFolder = "/fernet"
	execPath   = execFolder + "/" + execName
)

// wrap puts fernet-exec before the command of a container, with --require for each
// variable that it gets from our Secrets.
func (f *fitter) wrap(s spot) error {
	mayHave := func(source corev1.EnvFromSource) bool { return source.Prefix == "" && f.unknown(source) }
	if !f.hasKey(s.Container) && !slices.ContainsFunc(s.EnvFrom, mayHave) {
		return hint.With(errors.New("it has no FERNET_KEY, without which fernet-exec opens nothing"), "kubectl fernet push --key-secret fernet-key keeps the keyring in the cluster, then wire with the same flag; or set that variable in its template")
	}
	if own := f.ownVariables(s.Container); len(own) > 0 {
		return hint.With(fmt.Errorf("its template sets %s itself, which wins over the Secret", hint.Few(own)), "take it out of the template")
	}
	if err := f.checkTwice(s); err != nil {
		return err
	}
	if err := f.checkExpansions(s); err != nil {
		return err
	}
	var flags []flag
	for _, name := range slices.Sorted(maps.Keys(f.variables(s.Container))) {
		flags = append(flags, flag{"--require", name})
	}
	if f.MountPath != "" {
		flags = append(flags, flag{"--dir", f.MountPath})
	}
	if len(s.Command) > 0 && path.Base(s.Command[0]) == execName {
		f.setCommand(s, slices.Insert(slices.Clone(s.Command), 1, words(missingFlags(s.Command[1:], flags))...))
	} else {
		own, err := f.ownCommand(s)
		if err != nil {
			return err
		}
		f.setCommand(s, slices.Concat([]string{execPath}, words(flags), []string{"--"}, own))
	}
	if s.Command[0] != execPath { // the image has it
		return nil
	}
	return f.mountExec(s)
}

// ownCommand gives the command of a container, from its manifest or from the wiring.
func (f *fitter) ownCommand(s spot) ([]string, error) {
	switch {
	case len(s.Command) == 0 && f.command:
		return nil, hint.With(errors.New("its manifest names no command, and what stands after -- is that of one container"), "-c names it; then the same for the other one")
	case len(s.Command) > 0 && len(f.Exec.Command) > 0:
		return nil, hint.With(errors.New("its manifest names a command already"), "leave out what stands after --")
	case len(s.Command) == 0 && len(f.Exec.Command) == 0:
		what := "its ENTRYPOINT and CMD"
		if len(s.Args) > 0 {
			what = "its ENTRYPOINT, as the manifest has the arguments"
		}
		return nil, hint.With(fmt.Errorf("its manifest names no command, and the API does not know that of the image %s", s.Image),
			"give %s after --; docker inspect %s shows them", hint.Text(what), s.Image)
	}
	if len(s.Command) > 0 {
		return s.Command, nil
	}
	f.command = true
	return f.Exec.Command, nil
}

// checkTwice refuses what fernet-exec would find twice: as a variable and as a file, or in
// two folders.
func (f *fitter) checkTwice(s spot) error {
	if f.MountPath == "" {
		return nil
	}
	names := slices.Sorted(maps.Keys(f.variables(s.Container)))
	for _, e := range s.Env {
		names = append(names, e.Name)
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return !slices.ContainsFunc(f.Tokens, func(t Tokens) bool { _, file := t.Length[name]; return file })
	})
	if len(names) > 0 {
		return hint.With(fmt.Errorf("it has %s as a variable already, and fernet-exec would find it as a file too", names[0]), "leave out --mount-path, or take the variable out of the template")
	}
	for i, word := range s.Command {
		dir, is := strings.CutPrefix(word, "--dir=")
		if word == "--dir" && i+1 < len(s.Command) {
			dir, is = s.Command[i+1], true
		}
		if is && path.Base(s.Command[0]) == execName && path.Clean(dir) != f.MountPath {
			return hint.With(fmt.Errorf("its command has --dir %s already", dir), "--mount-path %s", dir)
		}
	}
	return nil
}

// checkExpansions refuses $(NAME) of one of our variables in a command, an argument or
// another variable: Kubernetes would put the token there.
func (f *fitter) checkExpansions(s spot) error {
	variables := f.variables(s.Container)
	texts := slices.Concat(s.Command, s.Args, f.Exec.Command)
	for _, e := range s.Env {
		texts = append(texts, e.Value)
	}
	for _, text := range texts {
		for _, name := range expansions(text) {
			if _, ours := variables[name]; ours {
				return hint.With(fmt.Errorf("its template has $(%s), where Kubernetes would put the token", name), "let the program read the variable: sh -c with $%s", hint.Text(name))
			}
		}
	}
	return nil
}

// expansions gives the variables that Kubernetes puts into a text; $$ stands for one $.
func expansions(text string) (names []string) {
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 || i+1 == len(text) {
			return names
		}
		name, rest, closed := strings.Cut(text[i+1:], ")")
		if text[i+1] == '(' && closed {
			names, text = append(names, name[1:]), rest
		} else {
			text = text[i+2:]
		}
	}
}

// flag is one of fernet-exec, with its value.
type flag struct{ name, value string }

func words(flags []flag) (line []string) {
	for _, f := range flags {
		line = append(line, f.name, f.value)
	}
	return line
}

// missingFlags gives those that a command line of fernet-exec lacks.
func missingFlags(line []string, wanted []flag) []flag {
	has := map[flag]bool{}
	for i := 0; i < len(line) && line[i] != "--" && strings.HasPrefix(line[i], "-"); i++ {
		name, value, joined := strings.Cut(strings.TrimLeft(line[i], "-"), "=")
		if !joined && name != "keep-keys" && i+1 < len(line) {
			i++
			value = line[i]
		}
		has[flag{"--" + name, value}] = true
	}
	covered := func(f flag) bool {
		for there := range has {
			if f.name == "--dir" {
				there.value = path.Clean(there.value)
			}
			ok, _ := path.Match(there.value, f.value) // a glob that is none matches nothing
			if there.name == f.name && (ok || there.value == f.value) {
				return true
			}
		}
		return false
	}
	return slices.DeleteFunc(slices.Clone(wanted), covered)
}

func (f *fitter) setCommand(s spot, command []string) {
	if slices.Equal(s.Command, command) {
		return
	}
	at := s.at + "/command"
	f.steps = append(f.steps, operation{"add", at, command})
	if len(s.Command) == 0 {
		f.back = append(f.back, operation{"remove", at, nil}, operation{"test", at, command})
	} else {
		f.back = append(f.back, operation{"replace", at, s.Command}, operation{"test", at, command})
	}
	s.Command = command
	f.addedTo(s).Command = command
}

var errNoImage = hint.With(errors.New("--exec needs the image of fernet-exec"),
	"build it from examples/fernet-exec/Dockerfile, push it to your registry, and name it: --exec-image registry.example.com/fernet-exec:1")

// mountExec mounts the volume that fernet-exec is in.
func (f *fitter) mountExec(s spot) error {
	v := f.volume(execName)
	switch {
	case v == nil && f.Exec.Image == "":
		return errNoImage
	case v == nil && f.Exec.Volume:
		f.addVolume(corev1.Volume{Name: execName, VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: f.Exec.Image}}})
	case v == nil:
		limit := resource.MustParse("8Mi")
		f.addVolume(corev1.Volume{Name: execName, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &limit}}})
	case v.EmptyDir == nil && v.Image == nil:
		return fmt.Errorf("the template has a volume %s of another kind", execName)
	}
	for _, m := range s.VolumeMounts {
		if path.Clean(m.MountPath) == execFolder {
			if m.Name == execName {
				return nil
			}
			return fmt.Errorf("%s, where fernet-exec goes, is the mount path of volume %s", execFolder, m.Name)
		}
	}
	f.mount(s, execName, execFolder)
	return nil
}

// install adds the init container that copies fernet-exec, before all others, as one of
// them may be wired. It is the last step, since it moves the places of the others.
func (f *fitter) install() error {
	v := f.volume(execName)
	list := f.template.Spec.InitContainers
	there := slices.ContainsFunc(list, func(c corev1.Container) bool { return c.Name == execName })
	if f.Exec == nil || v == nil || v.EmptyDir == nil || there {
		return nil
	}
	if f.Exec.Image == "" {
		return errNoImage
	}
	c := f.installer()
	at := f.at + "/spec/initContainers"
	if len(list) == 0 {
		f.steps = append(f.steps, operation{"add", at, []any{plain(c)}})
		f.back = append(f.back, operation{"remove", at, nil})
	} else {
		f.steps = append(f.steps, operation{"add", at + "/0", plain(c)})
		f.back = append(f.back, operation{"remove", at + "/0", nil})
	}
	f.back = append(f.back, operation{"test", at + "/0/name", execName})
	f.added.Spec.InitContainers = slices.Insert(f.added.Spec.InitContainers, 0, c)
	return nil
}

// installer runs as the same user as the container whose command changes, where its
// manifest says one, so that it passes the same admission. Its requests are its limits, so
// that a Pod stays Guaranteed; beside a running container they cost nothing.
func (f *fitter) installer() corev1.Container {
	no, yes := false, true
	needs := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("32Mi")}
	security := &corev1.SecurityContext{
		AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes,
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	for _, s := range slices.Concat(f.template.Spec.InitContainers, f.template.Spec.Containers) {
		if own := s.SecurityContext; own != nil && len(s.Command) > 0 && s.Command[0] == execPath {
			security.RunAsUser, security.RunAsGroup, security.RunAsNonRoot = own.RunAsUser, own.RunAsGroup, own.RunAsNonRoot
			break
		}
	}
	return corev1.Container{
		Name: execName, Image: f.Exec.Image, Command: []string{"/" + execName, "--install", execFolder},
		Resources:       corev1.ResourceRequirements{Requests: needs, Limits: needs},
		VolumeMounts:    []corev1.VolumeMount{{Name: execName, MountPath: execFolder}},
		SecurityContext: security,
	}
}
