// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

var toSecond = Rename{"secret-a": "secret-a-g2", "keys": "keys-g2", "secret-z": "secret-z-g2", "registry": "registry"}

const (
	golden = `[{"op":"test","path":"/metadata/generation","value":7},{"op":"test","path":"AT/spec/volumes/0/secret/secretName","value":"secret-a"},` +
		`{"op":"replace","path":"AT/spec/volumes/0/secret/secretName","value":"secret-a-g2"},` +
		`{"op":"test","path":"AT/spec/containers/0/env/1/valueFrom/secretKeyRef/name","value":"keys"},` +
		`{"op":"replace","path":"AT/spec/containers/0/env/1/valueFrom/secretKeyRef/name","value":"keys-g2"}]`
	goldenBack = `[{"op":"test","path":"AT/spec/volumes/0/secret/secretName","value":"secret-a-g2"},` +
		`{"op":"replace","path":"AT/spec/volumes/0/secret/secretName","value":"secret-a"},` +
		`{"op":"test","path":"AT/spec/containers/0/env/1/valueFrom/secretKeyRef/name","value":"keys-g2"},` +
		`{"op":"replace","path":"AT/spec/containers/0/env/1/valueFrom/secretKeyRef/name","value":"keys"}]`
)

// web is a template with two references that toSecond changes, and two that it
// does not.
func web(token, key string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		Volumes:          []corev1.Volume{volume("tokens", token)},
		Containers:       []corev1.Container{{Name: "app", Env: []corev1.EnvVar{env("B", "secret-b"), env("KEY", key)}}},
		ImagePullSecrets: []corev1.LocalObjectReference{local("registry")},
	}}
}

func TestPatch(t *testing.T) {
	for kind, o := range each(t, web("secret-a", "keys")) {
		at := "/spec/template"
		switch kind {
		case CronJob:
			at = "/spec/jobTemplate/spec/template"
		case Pod:
			at = ""
		}
		w, _ := Of(o)
		w.Generation = 7
		if got, want := string(toSecond.Patch(w)), strings.ReplaceAll(golden, "AT", at); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", kind, got, want)
		}
		if got, want := string(toSecond.Back(w)), strings.ReplaceAll(goldenBack, "AT", at); got != want {
			t.Errorf("%s, back\ngot  %s\nwant %s", kind, got, want)
		}
		for name, rename := range map[string]Rename{
			"nothing": nil, "other Secrets": {"secret-z": "secret-z-g2"}, "the same name": {"registry": "registry"}, "an empty name": {"secret-a": ""},
		} {
			if rename.Patch(w) != nil || rename.Back(w) != nil {
				t.Errorf("%s, %s: %s, back %s", kind, name, rename.Patch(w), rename.Back(w))
			}
		}
	}
}

func TestCompare(t *testing.T) {
	of := func(template corev1.PodTemplateSpec) Workload { return Workload{Kind: Deployment, Template: template} }
	w := of(web("secret-a", "keys"))
	shifted := web("secret-a", "keys")
	shifted.Spec.Volumes = append([]corev1.Volume{{Name: "first"}}, shifted.Spec.Volumes...)
	less := web("secret-a-g2", "keys-g2")
	less.Spec.Containers[0].Env = less.Spec.Containers[0].Env[:1]
	other := web("secret-a-g2", "keys-g2")
	other.Spec.Volumes = append(other.Spec.Volumes, volume("more", "secret-a"))
	for _, tc := range []struct {
		name string
		now  corev1.PodTemplateSpec
		want Sight
	}{
		{"as it was", web("secret-a", "keys"), Untouched},
		{"as wanted", web("secret-a-g2", "keys-g2"), Applied},
		{"half", web("secret-a-g2", "keys"), Otherwise},
		{"a third name", web("secret-a-g3", "keys"), Otherwise},
		{"shifted", shifted, Otherwise},
		{"a reference is gone", less, Otherwise},
		{"a reference has come", other, Applied},
		{"nothing left", corev1.PodTemplateSpec{}, Otherwise},
	} {
		if got := toSecond.Compare(w, of(tc.now)); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
	if got := Rename(nil).Compare(w, w); got != Applied {
		t.Errorf("nothing to change: %d", got)
	}
}
