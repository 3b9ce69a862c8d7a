// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"errors"
	"fmt"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// fitter adds what a wiring says to a template, and notes each step.
type fitter struct {
	*Wiring
	Fitting
	at       string // RFC 6901, of the template
	template *corev1.PodTemplateSpec
	chosen   []spot
	command  bool // that of the wiring has been given to a container

	olderKeyring, addedTokens bool // of the container that is looked at
}

// spot is a container of the template that gets something.
type spot struct {
	*corev1.Container
	list string // initContainers or containers
	at   string // RFC 6901, of the container
}

func (s spot) String() string { return "container " + s.Name }

// defaultContainer is the annotation by which kubectl knows the main container.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// choose gives the containers that are meant.
func (f *fitter) choose() (chosen []spot, err error) {
	spec := &f.template.Spec
	globs := f.Containers
	if len(globs) == 0 {
		name := f.template.Annotations[defaultContainer]
		if len(spec.Containers) == 1 {
			name = spec.Containers[0].Name
		}
		if name == "" {
			all := containerNames(spec.Containers)
			return nil, hint.With(fmt.Errorf("it has the containers %s, and nothing says which is meant", hint.Few(all)), "add -c %s", all[0])
		}
		globs = []string{name}
	}
	spots := append(f.spots("initContainers", spec.InitContainers), f.spots("containers", spec.Containers)...)
	matches := func(glob string, s spot) bool {
		ok, _ := path.Match(glob, s.Name) // who reads the flag has looked at it
		return ok && s.Name != execName
	}
	for _, glob := range globs {
		if !slices.ContainsFunc(spots, func(s spot) bool { return matches(glob, s) }) {
			return nil, fmt.Errorf("it has no container %q; it has %s", glob, hint.Few(containerNames(spec.InitContainers, spec.Containers)))
		}
	}
	return slices.DeleteFunc(spots, func(s spot) bool {
		return !slices.ContainsFunc(globs, func(glob string) bool { return matches(glob, s) })
	}), nil
}

func (f *fitter) spots(list string, containers []corev1.Container) (spots []spot) {
	for i := range containers {
		spots = append(spots, spot{&containers[i], list, fmt.Sprintf("%s/spec/%s/%d", f.at, list, i)})
	}
	return spots
}

func containerNames(lists ...[]corev1.Container) (names []string) {
	for _, list := range lists {
		for _, c := range list {
			names = append(names, c.Name)
		}
	}
	return names
}

// fit gives a container what it lacks.
func (f *fitter) fit(s spot) error {
	f.olderKeyring, f.addedTokens = false, false
	f.lookForKeyring(s.Container)
	if f.MountPath != "" {
		if err := f.mountSecrets(s); err != nil {
			return err
		}
	} else {
		f.addVariables(s)
	}
	if f.Keyring != "" && (f.MountPath == "" || f.Exec != nil) && !f.hasKey(s.Container) {
		f.addEnvFrom(s, f.Keyring)
	}
	f.judge(s)
	if f.olderKeyring && f.addedTokens {
		return errOlderKeyring
	}
	if err := f.checkLengths(s.Container); err != nil {
		return err
	}
	if f.Exec != nil {
		return f.wrap(s)
	}
	return nil
}

// lookForKeyring notes an older keyring wherever a container has it: as a source of
// variables, as one variable, or as files.
func (f *fitter) lookForKeyring(c *corev1.Container) {
	for _, source := range c.EnvFrom {
		if source.SecretRef != nil {
			f.is(source.SecretRef.Name, f.Keyring)
		}
	}
	for _, e := range c.Env {
		if ref := secretKey(e); ref != nil {
			f.is(ref.Name, f.Keyring)
		}
	}
	for _, m := range c.VolumeMounts {
		if v := f.volume(m.Name); v != nil {
			for _, name := range secretsOf(v) {
				f.is(name, f.Keyring)
			}
		}
	}
}

// judge notes what a person has to look at.
func (f *fitter) judge(s spot) {
	if f.keyless(s.Container) {
		f.Keyless = append(f.Keyless, s.String())
	}
	for _, name := range f.ownVariables(s.Container) {
		f.Own = append(f.Own, s.String()+", "+name)
	}
}

// ownVariables gives the variables that a container sets to something else although one of
// our Secrets has them.
func (f *fitter) ownVariables(c *corev1.Container) (names []string) {
	variables := f.variables(c)
	for _, e := range c.Env {
		ref := secretKey(e)
		if _, ours := variables[e.Name]; ours && (ref == nil || !f.isTokens(ref.Name)) {
			names = append(names, e.Name)
		}
	}
	return names
}

func secretKey(e corev1.EnvVar) *corev1.SecretKeySelector {
	if e.ValueFrom == nil {
		return nil
	}
	return e.ValueFrom.SecretKeyRef
}

// is says whether a name is that of a Secret, or of an older generation, which stays:
// rollout moves it.
func (f *fitter) is(name, current string) bool {
	if current == "" {
		return false
	}
	if name != current && f.Next != nil && f.Next(name) == current {
		f.Older = append(f.Older, name)
		f.olderKeyring = f.olderKeyring || current == f.Keyring
		return true
	}
	return name == current
}

func (f *fitter) isTokens(name string) bool {
	return slices.ContainsFunc(f.Tokens, func(t Tokens) bool { return f.is(name, t.Secret) })
}

// addVariables gives a container the tokens as environment.
func (f *fitter) addVariables(s spot) {
	for _, t := range f.Tokens {
		if !f.hasVariables(s.Container, t) {
			f.addEnvFrom(s, t.Secret)
		}
	}
}

// hasVariables says whether a container has each token of a Secret as a variable.
func (f *fitter) hasVariables(c *corev1.Container, t Tokens) bool {
	for _, source := range c.EnvFrom {
		if source.SecretRef != nil && f.is(source.SecretRef.Name, t.Secret) {
			return true
		}
	}
	has := map[string]bool{}
	for _, e := range c.Env {
		if ref := secretKey(e); ref != nil && f.is(ref.Name, t.Secret) {
			has[ref.Key] = true
		}
	}
	return hasAll(has, t)
}

func hasAll(has map[string]bool, t Tokens) bool {
	for key := range t.Length {
		if !has[key] {
			return false
		}
	}
	return true
}

// hasKey says whether a container has a key as a variable.
func (f *fitter) hasKey(c *corev1.Container) bool {
	return slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "FERNET_KEY" }) ||
		slices.ContainsFunc(c.EnvFrom, func(source corev1.EnvFromSource) bool {
			return source.Prefix == "" && source.SecretRef != nil && f.is(source.SecretRef.Name, f.Keyring)
		})
}

// keyless says that nothing which a container names can have a key.
func (f *fitter) keyless(c *corev1.Container) bool {
	if f.hasKey(c) || slices.ContainsFunc(c.EnvFrom, f.unknown) {
		return false
	}
	return !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
		v := f.volume(m.Name)
		return v != nil && slices.ContainsFunc(secretsOf(v), func(name string) bool { return !f.isTokens(name) })
	})
}

// unknown says that nobody knows what variables a source has.
func (f *fitter) unknown(source corev1.EnvFromSource) bool {
	return source.SecretRef == nil || !f.isTokens(source.SecretRef.Name)
}

// errOlderKeyring keeps a container from tokens that its keyring may not open.
var errOlderKeyring = hint.With(errors.New("it names an older generation of the keyring, which may not open the tokens that it lacks"),
	"first let it follow: kubectl fernet rollout, or the current name in its manifest")

func (f *fitter) addEnvFrom(s spot, secret string) {
	f.addedTokens = f.addedTokens || secret != f.Keyring
	source := corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}}
	f.add(s.at+"/envFrom", len(s.EnvFrom), source, "/secretRef/name", secret)
	s.EnvFrom = append(s.EnvFrom, source)
	added := f.addedTo(s)
	added.EnvFrom = append(added.EnvFrom, source)
}

// variables gives the variables that a container has from our Secrets, with the lengths
// of the tokens.
func (f *fitter) variables(c *corev1.Container) map[string]int {
	variables := map[string]int{}
	for _, t := range f.Tokens {
		for _, source := range c.EnvFrom {
			if source.SecretRef != nil && f.is(source.SecretRef.Name, t.Secret) {
				for key, length := range t.Length {
					variables[source.Prefix+key] = length
				}
			}
		}
		for _, e := range c.Env {
			if ref := secretKey(e); ref != nil && f.is(ref.Name, t.Secret) {
				variables[e.Name] = t.Length[ref.Key]
			}
		}
	}
	return variables
}

const (
	// maxVariable is how long NAME=VALUE may be, its last zero byte included: execve(2),
	// MAX_ARG_STRLEN.
	maxVariable = 128 << 10
	// maxEnvironment is what they may be together, by a quarter of a stack of 8 MiB, less
	// a part for the arguments and all other variables.
	maxEnvironment = 2<<20 - 128<<10
	pointer        = 8 // bytes that each variable costs beside its text
)

// checkLengths refuses an environment with which no program can be started: that of the
// container, or that which fernet-exec makes of files.
func (f *fitter) checkLengths(c *corev1.Container) error {
	variables := f.variables(c)
	if f.Exec == nil {
		return tooLong(checkLengths(variables), "give them as files: --mount-path /etc/fernet")
	}
	if f.MountPath != "" {
		for _, t := range f.Tokens {
			for key, length := range t.Length {
				variables[key] = length * 3 / 4 // a token is base64
			}
		}
	}
	return tooLong(checkLengths(variables), "let fernet-exec --write make files of them (docs/pods.md), or open them in the program")
}

func checkLengths(variables map[string]int) error {
	total := 0
	for name, length := range variables {
		size := len(name) + len("=") + length + 1
		total += size + pointer
		if size > maxVariable {
			return fmt.Errorf("the token of %s is too long for a variable: no program starts with more than %d bytes in one", name, maxVariable)
		}
	}
	if total > maxEnvironment {
		return fmt.Errorf("the tokens are %d bytes together, too many for an environment: programs start with about %d", total, maxEnvironment)
	}
	return nil
}

func tooLong(err error, way hint.Text) error {
	if err == nil {
		return nil
	}
	return hint.With(err, "%s", way)
}

// addedTo gives the container of the fragment.
func (f *fitter) addedTo(s spot) *corev1.Container {
	list := &f.added.Spec.Containers
	if s.list == "initContainers" {
		list = &f.added.Spec.InitContainers
	}
	i := slices.IndexFunc(*list, func(c corev1.Container) bool { return c.Name == s.Name })
	if i < 0 {
		i = len(*list)
		*list = append(*list, corev1.Container{Name: s.Name})
	}
	return &(*list)[i]
}

// add appends an item to a list of the template. The way back takes it away only where the
// leaf of the item says what it says now.
func (f *fitter) add(list string, length int, item any, leaf, value string) {
	at := fmt.Sprintf("%s/%d", list, length)
	if length == 0 {
		f.steps = append(f.steps, operation{"add", list, []any{plain(item)}})
		f.back = append(f.back, operation{"remove", list, nil}, operation{"test", at + leaf, value})
		return
	}
	f.steps = append(f.steps, operation{"add", list + "/-", plain(item)})
	f.back = append(f.back, operation{"remove", at, nil}, operation{"test", at + leaf, value})
}
