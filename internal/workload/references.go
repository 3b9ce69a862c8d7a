// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Reference is one place of a pod template that names a Secret.
type Reference struct {
	Secret  string
	Pointer string   // RFC 6901, from the template
	Where   string   // the same for people: "container app, env SECRET_A"
	Keys    []string // the data keys that have to be there for the Pod to start
}

// References finds all places of a pod template that name a Secret, in a fixed order.
func References(t *corev1.PodTemplateSpec) []Reference {
	var f finder
	for i := range t.Spec.Volumes {
		f.volume(fmt.Sprintf("/spec/volumes/%d", i), &t.Spec.Volumes[i])
	}
	for i := range t.Spec.InitContainers {
		f.container(fmt.Sprintf("/spec/initContainers/%d", i), "init container ", &t.Spec.InitContainers[i])
	}
	for i := range t.Spec.Containers {
		f.container(fmt.Sprintf("/spec/containers/%d", i), "container ", &t.Spec.Containers[i])
	}
	for i := range t.Spec.EphemeralContainers {
		c := corev1.Container(t.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		f.container(fmt.Sprintf("/spec/ephemeralContainers/%d", i), "ephemeral container ", &c)
	}
	for i, s := range t.Spec.ImagePullSecrets {
		f.add(s.Name, fmt.Sprintf("/spec/imagePullSecrets/%d/name", i), fmt.Sprintf("imagePullSecrets %d", i))
	}
	return f
}

// References finds all places of the workload's pod template that name a Secret.
func (w Workload) References() []Reference { return References(&w.Template) }

type finder []Reference

func (f *finder) add(secret, pointer, where string, keys ...string) {
	if secret != "" {
		*f = append(*f, Reference{Secret: secret, Pointer: pointer, Where: where, Keys: keys})
	}
}

// itemKeys gives the data keys of items that have to be there.
func itemKeys(items []corev1.KeyToPath, optional *bool) (keys []string) {
	for _, item := range items {
		if optional == nil || !*optional {
			keys = append(keys, item.Key)
		}
	}
	return keys
}

func (f *finder) volume(at string, v *corev1.Volume) {
	where := "volume " + v.Name
	if v.Secret != nil {
		f.add(v.Secret.SecretName, at+"/secret/secretName", where, itemKeys(v.Secret.Items, v.Secret.Optional)...)
	}
	if v.Projected != nil {
		for i, source := range v.Projected.Sources {
			if source.Secret != nil {
				f.add(source.Secret.Name, fmt.Sprintf("%s/projected/sources/%d/secret/name", at, i), fmt.Sprintf("%s, source %d", where, i), itemKeys(source.Secret.Items, source.Secret.Optional)...)
			}
		}
	}
	if v.AzureFile != nil {
		f.add(v.AzureFile.SecretName, at+"/azureFile/secretName", where+", azureFile")
	}
	refs := volumeRefs(v)
	for _, field := range slices.Sorted(maps.Keys(refs)) {
		if refs[field] != nil {
			source, _, _ := strings.Cut(field, "/")
			f.add(refs[field].Name, at+"/"+field+"/name", where+", "+source)
		}
	}
}

// volumeRefs gives the references of volumes of the less common types, by field.
func volumeRefs(v *corev1.Volume) map[string]*corev1.LocalObjectReference {
	refs := map[string]*corev1.LocalObjectReference{}
	if v.CSI != nil {
		refs["csi/nodePublishSecretRef"] = v.CSI.NodePublishSecretRef
	}
	if v.RBD != nil {
		refs["rbd/secretRef"] = v.RBD.SecretRef
	}
	if v.CephFS != nil {
		refs["cephfs/secretRef"] = v.CephFS.SecretRef
	}
	if v.Cinder != nil {
		refs["cinder/secretRef"] = v.Cinder.SecretRef
	}
	if v.FlexVolume != nil {
		refs["flexVolume/secretRef"] = v.FlexVolume.SecretRef
	}
	if v.ISCSI != nil {
		refs["iscsi/secretRef"] = v.ISCSI.SecretRef
	}
	if v.ScaleIO != nil {
		refs["scaleIO/secretRef"] = v.ScaleIO.SecretRef
	}
	if v.StorageOS != nil {
		refs["storageos/secretRef"] = v.StorageOS.SecretRef
	}
	return refs
}

func (f *finder) container(at, what string, c *corev1.Container) {
	where := what + c.Name
	for i, source := range c.EnvFrom {
		if source.SecretRef != nil {
			f.add(source.SecretRef.Name, fmt.Sprintf("%s/envFrom/%d/secretRef/name", at, i), fmt.Sprintf("%s, envFrom %d", where, i))
		}
	}
	for i, env := range c.Env {
		if env.ValueFrom == nil || env.ValueFrom.SecretKeyRef == nil {
			continue
		}
		ref := env.ValueFrom.SecretKeyRef
		keys := itemKeys([]corev1.KeyToPath{{Key: ref.Key}}, ref.Optional)
		f.add(ref.Name, fmt.Sprintf("%s/env/%d/valueFrom/secretKeyRef/name", at, i), where+", env "+env.Name, keys...)
	}
}
