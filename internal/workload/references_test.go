// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// local refers to a Secret by its name alone.
func local(name string) corev1.LocalObjectReference {
	return corev1.LocalObjectReference{Name: name}
}

func env(name, secret string) corev1.EnvVar {
	key := &corev1.SecretKeySelector{LocalObjectReference: local(secret), Key: "SECRET-A"}
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: key}}
}

func envFrom(secret string) corev1.EnvFromSource {
	return corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: local(secret)}}
}

func volume(name, secret string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret}}}
}

// projected is a volume of a ConfigMap, and then of Secrets.
func projected(name string, secrets ...string) corev1.Volume {
	sources := []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: local("secret-a")}}}
	for _, s := range secrets {
		sources = append(sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: local(s)}})
	}
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources}}}
}

func csi(name, secret string) corev1.Volume {
	ref := local(secret)
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "csi.example.com", NodePublishSecretRef: &ref}}}
}

// everywhere is a template whose references are of each common kind.
func everywhere() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		Volumes: []corev1.Volume{
			{Name: "scratch"},
			volume("tokens", "secret-a"),
			volume("none", ""),
			projected("all", "secret-a", "secret-b"),
			csi("disk", "secret-c"),
		},
		InitContainers: []corev1.Container{
			{Name: "wait"},
			{Name: "migrate", Env: []corev1.EnvVar{{Name: "PLAIN", Value: "secret-a"}, env("A", "secret-a")}, EnvFrom: []corev1.EnvFromSource{envFrom("secret-b")}},
		},
		Containers: []corev1.Container{{
			Name: "app",
			Env:  []corev1.EnvVar{env("SECRET_A", "secret-a"), env("KEY", "keys")},
			EnvFrom: []corev1.EnvFromSource{
				{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: local("secret-a")}}, envFrom("secret-c"),
			},
		}},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "debug", Env: []corev1.EnvVar{env("A", "secret-a")}, EnvFrom: []corev1.EnvFromSource{envFrom("secret-b")},
		}}},
		ImagePullSecrets: []corev1.LocalObjectReference{local("registry")},
	}}
}

func TestReferences(t *testing.T) {
	template := everywhere()
	want := []Reference{
		{Secret: "secret-a", Pointer: "/spec/volumes/1/secret/secretName", Where: "volume tokens"},
		{Secret: "secret-a", Pointer: "/spec/volumes/3/projected/sources/1/secret/name", Where: "volume all, source 1"},
		{Secret: "secret-b", Pointer: "/spec/volumes/3/projected/sources/2/secret/name", Where: "volume all, source 2"},
		{Secret: "secret-c", Pointer: "/spec/volumes/4/csi/nodePublishSecretRef/name", Where: "volume disk, csi"},
		{Secret: "secret-b", Pointer: "/spec/initContainers/1/envFrom/0/secretRef/name", Where: "init container migrate, envFrom 0"},
		{Secret: "secret-a", Pointer: "/spec/initContainers/1/env/1/valueFrom/secretKeyRef/name", Where: "init container migrate, env A", Keys: []string{"SECRET-A"}},
		{Secret: "secret-c", Pointer: "/spec/containers/0/envFrom/1/secretRef/name", Where: "container app, envFrom 1"},
		{Secret: "secret-a", Pointer: "/spec/containers/0/env/0/valueFrom/secretKeyRef/name", Where: "container app, env SECRET_A", Keys: []string{"SECRET-A"}},
		{Secret: "keys", Pointer: "/spec/containers/0/env/1/valueFrom/secretKeyRef/name", Where: "container app, env KEY", Keys: []string{"SECRET-A"}},
		{Secret: "secret-b", Pointer: "/spec/ephemeralContainers/0/envFrom/0/secretRef/name", Where: "ephemeral container debug, envFrom 0"},
		{Secret: "secret-a", Pointer: "/spec/ephemeralContainers/0/env/0/valueFrom/secretKeyRef/name", Where: "ephemeral container debug, env A", Keys: []string{"SECRET-A"}},
		{Secret: "registry", Pointer: "/spec/imagePullSecrets/0/name", Where: "imagePullSecrets 0"},
	}
	if got := References(&template); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := References(&corev1.PodTemplateSpec{}); got != nil {
		t.Errorf("an empty template has %+v", got)
	}
}

// fill sets each string to its own JSON pointer, in two items of each list, and
// gives all these pointers.
func fill(v reflect.Value, at string) (all []string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(at)
		return []string{at}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), at)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			all = append(all, fill(v.Index(i), fmt.Sprintf("%s/%d", at, i))...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			tag, tagged := v.Type().Field(i).Tag.Lookup("json")
			name, _, _ := strings.Cut(tag, ",")
			switch {
			case !tagged || !v.Field(i).CanSet():
			case name == "":
				all = append(all, fill(v.Field(i), at)...)
			default:
				all = append(all, fill(v.Field(i), at+"/"+name)...)
			}
		}
	}
	return all
}

// The API's own types tell where a Secret can be named; none is missed, and what
// a later version of them adds fails here.
func TestReferencesAreAllThatTheAPIHas(t *testing.T) {
	var template corev1.PodTemplateSpec
	names := regexp.MustCompile(`(?i)secret.*/name$|/secretName$`)
	var want, got []string
	for _, pointer := range fill(reflect.ValueOf(&template).Elem(), "") {
		if names.MatchString(pointer) {
			want = append(want, pointer)
		}
	}
	for _, r := range References(&template) {
		if r.Secret != r.Pointer {
			t.Errorf("%s holds %s", r.Pointer, r.Secret)
		}
		got = append(got, r.Pointer)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !reflect.DeepEqual(got, want) || len(want) < 40 {
		t.Errorf("got %d: %s\nwant %d: %s", len(got), got, len(want), want)
	}
}
