// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// The oracle: what is asserted after each step, read from the API server's own JSON.

// snapshot is a namespace, by kind and name: deployment/web.
type snapshot map[string]jsonObject

func (f *fleet) snapshot() snapshot {
	f.t.Helper()
	client := corev1client.NewForConfigOrDie(testkube.RESTConfig(f.t)).RESTClient()
	s := snapshot{}
	for kind, api := range map[string]string{
		"secret": "api/v1", "configmap": "api/v1", "pod": "api/v1", "deployment": "apis/apps/v1", "statefulset": "apis/apps/v1",
		"daemonset": "apis/apps/v1", "replicaset": "apis/apps/v1", "job": "apis/batch/v1", "cronjob": "apis/batch/v1", "widget": "apis/" + f.group + "/v1",
	} {
		raw, err := client.Get().AbsPath("/"+api, "namespaces", f.namespace, kind+"s").DoRaw(f.t.Context())
		var list struct{ Items []jsonObject }
		if err == nil {
			err = json.Unmarshal(raw, &list)
		}
		if err != nil {
			f.fatalf("%ss: %v", kind, err)
		}
		for _, item := range list.Items {
			s[kind+"/"+text(item, "metadata", "name")] = item
		}
	}
	return s
}

// at goes down an object; nil: there is nothing.
func at(o jsonObject, way ...string) any {
	var v any = o
	for _, key := range way {
		inner, _ := v.(jsonObject)
		v = inner[key]
	}
	return v
}

func text(o jsonObject, way ...string) string {
	s, _ := at(o, way...).(string)
	return s
}

// podOf gives the pod that an object is, or makes.
func podOf(key string, o jsonObject) jsonObject {
	way := []string{"spec", "template", "spec"}
	switch kind, _, _ := strings.Cut(key, "/"); kind {
	case "pod":
		way = way[:1]
	case "cronjob":
		way = []string{"spec", "jobTemplate", "spec", "template", "spec"}
	case "widget", "configmap", "secret":
		return nil
	}
	pod, _ := at(o, way...).(jsonObject)
	return pod
}

// places gives each reference to a Secret in a pod, by where it stands.
func places(pod jsonObject) map[string]string {
	found := map[string]string{}
	walkPlaces(pod, "", "", func(place string, o jsonObject, key string) { found[place], _ = o[key].(string) })
	return found
}

func walkPlaces(v any, place, parent string, see func(place string, o jsonObject, key string)) {
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			walkPlaces(item, fmt.Sprintf("%s[%d]", place, i), parent, see)
		}
	case jsonObject:
		for key, inner := range v {
			_, isName := inner.(string)
			reference := key == "secretName" || key == "name" && slices.Contains([]string{"secret", "secretRef", "secretKeyRef", "imagePullSecrets"}, parent)
			if isName && reference {
				see(place+"."+key, v, key)
			}
			walkPlaces(inner, place+"."+key, key, see)
		}
	}
}

var generationName = regexp.MustCompile(`^(secret-0\d|fernet-key|web)(?:-g(\d+))?$`)

// baseOf gives the base name of a Secret of ours; empty for another's.
func baseOf(name string) string {
	if m := generationName.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

func generationOf(name string) (n int) {
	n = 1
	if m := generationName.FindStringSubmatch(name); m != nil && m[2] != "" {
		_, _ = fmt.Sscan(m[2], &n)
	}
	return n
}

// newest gives the newest generation of each base name that is there.
func (s snapshot) newest() secretNames {
	names := secretNames{}
	for key := range s {
		name, isSecret := strings.CutPrefix(key, "secret/")
		if base := baseOf(name); isSecret && base != "" && (names[base] == "" || generationOf(name) > generationOf(names[base])) {
			names[base] = name
		}
	}
	return names
}

// current gives the Secret that has each entry: in the form that the .env wants, or in the
// other one where that is not there yet.
func (f *fleet) current(s snapshot) secretNames {
	newest := s.newest()
	names := secretNames{keyringBase: newest[keyringBase]}
	for entry := range f.values {
		base := strings.ReplaceAll(strings.ToLower(entry), "_", "-")
		single, bundle := newest[base], newest[bundleBase]
		if data(s["secret/"+bundle], entry) == "" {
			bundle = ""
		}
		if names[base] = cmp.Or(single, bundle); f.bundle {
			names[base] = cmp.Or(bundle, single)
		}
	}
	return names
}

// check asserts all that holds after each step. A verb may have changed the references of
// what touched picks, and nothing else.
func (f *fleet) check(before, after snapshot, touched func(*thing) bool) {
	f.t.Helper()
	f.checkOthers(before, after, touched)
	for _, g := range f.things {
		f.follow(g, before, after)
	}
	f.checkPatched(after)
	f.checkDeleted(before, after)
	f.checkBytes(after)
}

// follow remembers what a verb wrote into a template.
func (f *fleet) follow(g *thing, before, after snapshot) {
	was, is := places(podOf(g.String(), before[g.String()])), places(podOf(g.String(), after[g.String()]))
	for place, name := range is {
		if was[place] != name {
			g.patched[place], g.whole = name, true
		}
	}
}

// forget drops what another than a verb changed.
func (f *fleet) forget(before, after snapshot) {
	for _, g := range f.things {
		was, is := places(podOf(g.String(), before[g.String()])), places(podOf(g.String(), after[g.String()]))
		g.whole = g.whole && maps.Equal(was, is)
		maps.DeleteFunc(g.patched, func(place, name string) bool { return is[place] != name })
	}
}

// checkPatched asserts of each template that a verb patched: what it wrote there exists,
// and the keyrings that the template names open each token that it names.
func (f *fleet) checkPatched(s snapshot) {
	f.t.Helper()
	for _, g := range f.things {
		for place, name := range g.patched {
			if s["secret/"+name] == nil {
				f.fatalf("NAMES WHAT IS GONE: %s names %s at %s, by a patch, and that is not there", g, name, place)
			}
		}
		if g.whole {
			f.checkKeyring(g, s)
		}
	}
}

func (f *fleet) checkKeyring(g *thing, s snapshot) {
	f.t.Helper()
	var rings []*decrypt.Keyring
	named := slices.Compact(slices.Sorted(maps.Values(places(podOf(g.String(), s[g.String()])))))
	for _, name := range named {
		if primary := data(s["secret/"+name], "FERNET_KEY"); baseOf(name) == keyringBase && primary != "" {
			ring, err := decrypt.ParseKeys(primary, strings.FieldsFunc(data(s["secret/"+name], "FERNET_KEY_PREVIOUS"), func(r rune) bool { return r == ',' })...)
			if err != nil {
				f.fatalf("%s: %v", name, err)
			}
			rings = append(rings, ring)
		}
	}
	for _, name := range named {
		for _, token := range f.tokens(s, name) {
			opens := func(ring *decrypt.Keyring) bool { _, err := ring.Open([]byte(token)); return err == nil }
			if len(rings) > 0 && !slices.ContainsFunc(rings, opens) {
				f.fatalf("CANNOT OPEN: %s names %s, which no keyring that it names opens: %v", g, name, named)
			}
		}
	}
}

// data gives what a Secret holds under a name.
func data(secret jsonObject, name string) string {
	raw, _ := base64.StdEncoding.DecodeString(text(secret, "data", name))
	return string(raw)
}

// tokens gives the tokens in a Secret, one or those of a bundle.
func (f *fleet) tokens(s snapshot, name string) (tokens []string) {
	if base := baseOf(name); base == "" || base == keyringBase {
		return nil
	}
	held, _ := at(s["secret/"+name], "data").(jsonObject)
	for _, entry := range slices.Sorted(maps.Keys(held)) {
		tokens = append(tokens, data(s["secret/"+name], entry))
	}
	return tokens
}

// checkDeleted asserts that each Secret that is gone was named nowhere, as far as the
// object that named it stayed.
func (f *fleet) checkDeleted(before, after snapshot) {
	f.t.Helper()
	for key := range before {
		name, isSecret := strings.CutPrefix(key, "secret/")
		if !isSecret || after[key] != nil {
			continue
		}
		if baseOf(name) == "" {
			f.fatalf("NOT OURS: Secret %s is gone", name)
		}
		for user, o := range before {
			if now := after[user]; now == nil || at(now, "metadata", "uid") != at(o, "metadata", "uid") {
				continue
			}
			if why := naming(user, o, name); why != "" && naming(user, after[user], name) != "" {
				f.fatalf("DELETED WHILE NAMED: Secret %s, by %s: %s", name, user, why)
			}
		}
		for _, g := range f.things {
			if g.apply == serverSide && before[g.String()] != nil && slices.Contains(f.writes(g), name) {
				f.fatalf("DELETED WHILE NAMED: Secret %s, by the manifest of the server-side apply of %s", name, g)
			}
		}
	}
}

// writes gives the Secrets that the manifest of a thing names, as it was last applied.
func (f *fleet) writes(g *thing) (names []string) {
	for _, ref := range g.refs {
		names = append(names, g.applied[ref.base])
	}
	if g.kind == "Widget" || g.kind == "ConfigMap" {
		return names[:1]
	}
	return names
}

// naming says why an object keeps a Secret; empty: it does not.
func naming(key string, o jsonObject, name string) string {
	kind, _, _ := strings.Cut(key, "/")
	owned := slices.ContainsFunc(list(at(o, "metadata", "ownerReferences")), func(v any) bool { return at(v.(jsonObject), "controller") == true })
	replicas, _ := at(o, "spec", "replicas").(float64)
	phase := text(o, "status", "phase")
	pod := podOf(key, o)
	switch {
	case kind == "secret", kind == "replicaset" && owned && replicas == 0, phase == "Succeeded" || phase == "Failed":
		return ""
	case slices.Contains(slices.Collect(maps.Values(places(pod))), name):
		return "a reference"
	case kind == "widget" && strings.Contains(asJSON(at(o, "spec")), `"`+name+`"`):
		return "a string"
	case kind == "configmap" && inText(asJSON(o["data"]), name):
		return "a mention"
	case slices.ContainsFunc(list(pod["containers"]), func(c any) bool { return inText(asJSON(at(c.(jsonObject), "args")), name) }):
		return "an argument"
	case kind == "replicaset" && owned:
		return ""
	}
	var last jsonObject
	if manifest := text(o, "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"); manifest != "" && json.Unmarshal([]byte(manifest), &last) == nil {
		if why := naming(key, last, name); why != "" {
			return why + " in the manifest that was applied last"
		}
	}
	return ""
}

func list(v any) []any { all, _ := v.([]any); return all }

func asJSON(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// inText says whether a name stands in a text, bounded by what is no part of a name.
func inText(text, name string) bool {
	return regexp.MustCompile(`(^|[^a-z0-9.-])` + regexp.QuoteMeta(name) + `($|[^a-z0-9.-])`).MatchString(text)
}

// checkOthers asserts that what is not ours, and what no verb may patch, is what it was,
// and that of the rest nothing but names of our Secrets changed.
func (f *fleet) checkOthers(before, after snapshot, touched func(*thing) bool) {
	f.t.Helper()
	if is, was := settled("secret/"+somebodys, after["secret/"+somebodys], false), settled("secret/"+somebodys, before["secret/"+somebodys], false); is != was {
		f.fatalf("NOT OURS: Secret %s was changed", somebodys)
	}
	for _, g := range f.things {
		key := g.String()
		renamed := g.patchable() && touched(g)
		if was, is := settled(key, before[key], renamed), settled(key, after[key], renamed); was != is {
			f.fatalf("CHANGED: %s, where names may change: %t\n%s\n%s", g, renamed, was, is)
		}
	}
}

// settled gives an object without what controllers write, and where names may change, with
// the base names of our Secrets.
func settled(key string, o jsonObject, renamed bool) string {
	var c jsonObject
	if json.Unmarshal([]byte(asJSON(o)), &c) != nil || c == nil {
		return ""
	}
	delete(c, "status")
	metadata, _ := c["metadata"].(jsonObject)
	for _, field := range []string{"resourceVersion", "generation", "managedFields"} {
		delete(metadata, field)
	}
	annotations, _ := metadata["annotations"].(jsonObject)
	maps.DeleteFunc(annotations, func(name string, _ any) bool {
		return name == "deployment.kubernetes.io/revision" || name == "deprecated.daemonset.template.generation" || renamed && name == "kubectl-fernet.github.io/manifest"
	})
	if len(annotations) == 0 {
		delete(metadata, "annotations")
	}
	if renamed {
		walkPlaces(podOf(key, c), "", "", func(_ string, o jsonObject, key string) {
			if base := baseOf(o[key].(string)); base != "" {
				o[key] = base
			}
		})
	}
	return asJSON(c)
}

// checkBytes asserts that no name was ever seen with other bytes, and that each token
// opens with the keys on disk.
func (f *fleet) checkBytes(s snapshot) {
	f.t.Helper()
	ring := f.keys().ring(f.t)
	for key, o := range s {
		name, isSecret := strings.CutPrefix(key, "secret/")
		if !isSecret || baseOf(name) == "" {
			continue
		}
		bytes := asJSON(o["data"])
		if was, seen := f.seen[name]; seen && was != bytes {
			f.fatalf("OTHER BYTES: Secret %s", name)
		}
		f.seen[name] = bytes
		tokens := f.tokens(s, name)
		for _, token := range tokens {
			if _, err := ring.Open([]byte(token)); err != nil {
				f.fatalf("CANNOT OPEN: Secret %s with the keys on disk: %v", name, err)
			}
		}
		if len(tokens) > 0 && !f.oneKeyOpens(tokens) {
			f.fatalf("TWO KEYS: Secret %s has tokens of more than one", name)
		}
	}
}

// checkCurrent asserts that each template that may be patched names the newest of all.
func (f *fleet) checkCurrent(s snapshot) {
	f.t.Helper()
	newest := s.newest()
	for _, g := range f.things {
		for place, name := range places(podOf(g.String(), s[g.String()])) {
			if base := baseOf(name); g.patchable() && base != "" && newest[base] != name {
				f.fatalf("NOT MENDED: %s names %s at %s, and %s is the newest", g, name, place, newest[base])
			}
		}
	}
}

// oneKeyOpens says whether there is a key that opens all of these tokens.
func (f *fleet) oneKeyOpens(tokens []string) bool {
	k := f.keys()
	return slices.ContainsFunc(append([]string{k.primary, k.next}, k.previous...), func(key string) bool {
		alone, err := decrypt.ParseKeys(key)
		return err == nil && !slices.ContainsFunc(tokens, func(token string) bool { _, err := alone.Open([]byte(token)); return err != nil })
	})
}
