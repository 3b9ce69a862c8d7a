// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
)

// volumeName is that of the volume that wire makes.
const volumeName = "fernet"

// mountSecrets gives a container the Secrets as files, all in one folder.
func (f *fitter) mountSecrets(s spot) error {
	v, err := f.mountedAt(s)
	if err != nil {
		return err
	}
	wanted := slices.Clone(f.Tokens)
	if f.Keyring != "" && f.Exec == nil { // fernet-exec finds its key in the environment
		wanted = append(wanted, Tokens{Secret: f.Keyring})
	}
	mounted := v != nil
	if mounted && f.Exec != nil && !f.onlyOurs(v) {
		return hint.With(fmt.Errorf("volume %s at %s has more than our Secrets, and fernet-exec opens every file there", v.Name, f.MountPath), "choose another --mount-path")
	}
	if !mounted {
		if v = f.shared(); v != nil && f.Exec != nil && !f.onlyOurs(v) {
			v = nil
		}
	}
	missing := slices.DeleteFunc(wanted, func(t Tokens) bool { return v != nil && f.holds(v, t) })
	f.addedTokens = slices.ContainsFunc(missing, func(t Tokens) bool { return t.Secret != f.Keyring })
	switch {
	case v == nil:
		v = f.newVolume(missing)
	case len(missing) > 0 && mounted && f.mountedByOthers(v.Name):
		return hint.With(fmt.Errorf("volume %s at %s lacks %s, and containers mount it that were not chosen", v.Name, f.MountPath, missing[0].Secret), "choose another --mount-path, or these containers too")
	case len(missing) > 0 && v.Projected == nil:
		return hint.With(fmt.Errorf("%s is the mount path of volume %s, which is no projected one and does not have %s", f.MountPath, v.Name, missing[0].Secret), "choose another --mount-path")
	default:
		f.addSources(v, missing)
	}
	if !mounted {
		f.mount(s, v.Name, f.MountPath)
	}
	return nil
}

// mountedAt gives the volume that a container has at the mount path, nil for none.
func (f *fitter) mountedAt(s spot) (*corev1.Volume, error) {
	for _, m := range s.VolumeMounts {
		if path.Clean(m.MountPath) != path.Clean(f.MountPath) {
			continue
		}
		v := f.volume(m.Name)
		if v == nil || m.SubPath != "" || m.SubPathExpr != "" {
			return nil, hint.With(fmt.Errorf("%s is the mount path of a part of volume %s", f.MountPath, m.Name), "choose another --mount-path")
		}
		return v, nil
	}
	return nil, nil
}

func (f *fitter) volume(name string) *corev1.Volume {
	volumes := f.template.Spec.Volumes
	if i := slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.Name == name }); i >= 0 {
		return &volumes[i]
	}
	return nil
}

// shared gives the volume that wire made before, nil for none: what is added to it reaches
// every container that mounts it, so these have to be chosen all.
func (f *fitter) shared() *corev1.Volume {
	if v := f.volume(volumeName); v != nil && v.Projected != nil && !f.mountedByOthers(volumeName) {
		return v
	}
	return nil
}

// mountedByOthers says whether a container that was not chosen mounts a volume.
func (f *fitter) mountedByOthers(volume string) bool {
	spec := &f.template.Spec
	for _, s := range append(f.spots("initContainers", spec.InitContainers), f.spots("containers", spec.Containers)...) {
		chosen := slices.ContainsFunc(f.chosen, func(c spot) bool { return c.at == s.at })
		if !chosen && slices.ContainsFunc(s.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == volume }) {
			return true
		}
	}
	return false
}

// holds says whether a volume has a Secret whole.
func (f *fitter) holds(v *corev1.Volume, t Tokens) bool {
	has := map[string]bool{}
	whole := false
	for _, source := range secretSources(v) {
		if f.is(source.Name, t.Secret) {
			whole = whole || len(source.Items) == 0
			for _, item := range source.Items {
				has[item.Key] = true
			}
		}
	}
	return whole || len(has) > 0 && hasAll(has, t)
}

// secretSources gives the Secrets of a volume.
func secretSources(v *corev1.Volume) (sources []corev1.SecretProjection) {
	if v.Secret != nil {
		sources = append(sources, *secretSource(v.Secret.SecretName).Secret)
		sources[0].Items = v.Secret.Items
	}
	if v.Projected != nil {
		for _, source := range v.Projected.Sources {
			if source.Secret != nil {
				sources = append(sources, *source.Secret)
			}
		}
	}
	return sources
}

func secretsOf(v *corev1.Volume) (names []string) {
	for _, source := range secretSources(v) {
		names = append(names, source.Name)
	}
	return names
}

func secretSource(name string) corev1.VolumeProjection {
	return corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}
}

// onlyOurs says that a volume has Secrets of ours, and nothing else.
func (f *fitter) onlyOurs(v *corev1.Volume) bool {
	names := secretsOf(v)
	if v.Secret == nil && v.Projected == nil || v.Projected != nil && len(names) < len(v.Projected.Sources) {
		return false
	}
	return !slices.ContainsFunc(names, func(name string) bool { return !f.isTokens(name) && !f.is(name, f.Keyring) })
}

// newVolume adds a projected volume of Secrets.
func (f *fitter) newVolume(secrets []Tokens) *corev1.Volume {
	v := corev1.Volume{Name: f.freeName(volumeName), VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}}
	for _, t := range secrets {
		v.Projected.Sources = append(v.Projected.Sources, secretSource(t.Secret))
	}
	f.addVolume(v)
	return f.volume(v.Name)
}

// freeName gives a name for a volume that none has.
func (f *fitter) freeName(name string) string {
	free := name
	for n := 2; f.volume(free) != nil; n++ {
		free = fmt.Sprintf("%s-%d", name, n)
	}
	return free
}

func (f *fitter) addVolume(v corev1.Volume) {
	f.add(f.at+"/spec/volumes", len(f.template.Spec.Volumes), v, "/name", v.Name)
	f.template.Spec.Volumes = append(f.template.Spec.Volumes, v)
	f.added.Spec.Volumes = append(f.added.Spec.Volumes, *v.DeepCopy())
}

// addSources adds Secrets to a projected volume.
func (f *fitter) addSources(v *corev1.Volume, secrets []Tokens) {
	i := slices.IndexFunc(f.template.Spec.Volumes, func(o corev1.Volume) bool { return o.Name == v.Name })
	for _, t := range secrets {
		source := secretSource(t.Secret)
		f.add(fmt.Sprintf("%s/spec/volumes/%d/projected/sources", f.at, i), len(v.Projected.Sources), source, "/secret/name", t.Secret)
		v.Projected.Sources = append(v.Projected.Sources, source)
		added := f.addedVolume(v.Name)
		added.Projected.Sources = append(added.Projected.Sources, source)
	}
}

// addedVolume gives the projected volume of the fragment.
func (f *fitter) addedVolume(name string) *corev1.Volume {
	volumes := &f.added.Spec.Volumes
	i := slices.IndexFunc(*volumes, func(v corev1.Volume) bool { return v.Name == name })
	if i < 0 {
		i = len(*volumes)
		*volumes = append(*volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}})
	}
	return &(*volumes)[i]
}

// mount mounts a volume, to be read only.
func (f *fitter) mount(s spot, volume, at string) {
	m := corev1.VolumeMount{Name: volume, MountPath: at, ReadOnly: true}
	f.add(s.at+"/volumeMounts", len(s.VolumeMounts), m, "/name", volume)
	s.VolumeMounts = append(s.VolumeMounts, m)
	added := f.addedTo(s)
	added.VolumeMounts = append(added.VolumeMounts, m)
}
