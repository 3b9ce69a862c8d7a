// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// jsonObject is an object of the API, as its JSON is.
type jsonObject = map[string]any

// thing is an object that refers to Secrets, and how people write its manifest.
type thing struct {
	kind, name string
	apply      applying
	refs       []refTo
	foreign    bool // it names a Secret of somebody else, too
	mentions   bool // an argument of it mentions a Secret
	owned      bool // a Widget is its controller
	broken     bool // its pods fit on no node
	byHand     bool // a reference was added past its manifest

	manifests []secretNames     // all that were applied
	applied   secretNames       // the one that was applied last
	patched   map[string]string // the names that the plugin wrote, by place, as long as they stand
	whole     bool              // nobody else changed a reference since then
}

// applying is how an object is written.
type applying string

const (
	plainCreate applying = "create"
	clientSide  applying = "client-side apply"
	serverSide  applying = "server-side apply"
)

// refTo is one reference: to which base name, and how it is written.
type refTo struct{ base, shape string }

// secretNames are the Secrets that a manifest names, by the base name that an entry has as a
// single one.
type secretNames map[string]string

const (
	keyringBase = "fernet-key"
	somebodys   = "somebodys" // a Secret that is not ours
	extraEntry  = "SECRET_03" // which nothing names, and which comes and goes
)

var (
	tokenBases = []string{"secret-00", "secret-01", "secret-02"}
	shapes     = []string{"volume", "volume called like its Secret", "projected", "env", "envFrom", "init env", "init envFrom", "pull"}
	patchables = []string{"Deployment", "Deployment", "StatefulSet", "DaemonSet", "CronJob"}
	anything   = append([]string{"Job", "Pod", "ReplicaSet", "Widget", "ConfigMap"}, patchables...)
)

// patchable says whether rollout may change it.
func (g *thing) patchable() bool {
	return !g.owned && slices.Contains(patchables, g.kind)
}

func (g *thing) String() string { return strings.ToLower(g.kind) + "/" + g.name }

// randomThing makes one thing of a world. The first two are Deployments, so that there is
// always something to roll out.
func randomThing(r *rand.Rand, i int, kinds []string) *thing {
	kind := kinds[r.IntN(len(kinds))]
	if i < 2 {
		kind = "Deployment"
	}
	often := func(percent int) bool { return r.IntN(100) < percent }
	g := &thing{
		kind: kind, name: fmt.Sprintf("thing-%d", i), apply: []applying{plainCreate, clientSide, serverSide}[r.IntN(3)],
		foreign: often(30), mentions: often(10), broken: often(8), owned: i > 1 && kind == "Deployment" && len(kinds) == len(anything) && often(30),
		patched: map[string]string{},
	}
	if often(85) {
		g.refs = append(g.refs, refTo{keyringBase, []string{"envFrom", "env", "init env", "volume"}[r.IntN(4)]})
	}
	free := slices.Clone(shapes)
	r.Shuffle(len(free), func(a, b int) { free[a], free[b] = free[b], free[a] })
	for _, shape := range free[:1+r.IntN(3)] {
		g.refs = append(g.refs, refTo{tokenBases[r.IntN(len(tokenBases))], shape})
	}
	return g
}

// manifest gives the thing as people write it, with these names of its Secrets.
func (g *thing) manifest(group, ownerUID string, names secretNames) string {
	labels := jsonObject{"app": g.name}
	metadata := jsonObject{"name": g.name}
	if g.owned {
		metadata["ownerReferences"] = []any{jsonObject{"apiVersion": group + "/v1", "kind": "Widget", "name": "owner", "uid": ownerUID, "controller": true}}
	}
	template := jsonObject{"metadata": jsonObject{"labels": labels}, "spec": g.pod(names)}
	written := jsonObject{"apiVersion": "apps/v1", "kind": g.kind, "metadata": metadata}
	switch g.kind {
	case "Pod":
		written["apiVersion"], written["spec"] = "v1", g.pod(names)
	case "ConfigMap":
		written["apiVersion"], written["data"] = "v1", jsonObject{"args": "--secret=" + names[g.refs[0].base] + " --quiet"}
	case "Widget":
		written["apiVersion"], written["spec"] = group+"/v1", jsonObject{"deep": []any{jsonObject{"credentials": names[g.refs[0].base]}}}
	case "CronJob":
		written["apiVersion"] = "batch/v1"
		written["spec"] = jsonObject{"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": jsonObject{"spec": jsonObject{"template": template}}}
	case "Job":
		written["apiVersion"], written["spec"] = "batch/v1", jsonObject{"suspend": true, "template": template}
	case "StatefulSet":
		written["spec"] = jsonObject{"replicas": 1, "serviceName": "s", "selector": jsonObject{"matchLabels": labels}, "template": template}
	case "DaemonSet":
		written["spec"] = jsonObject{"selector": jsonObject{"matchLabels": labels}, "template": template}
	default:
		written["spec"] = jsonObject{"replicas": 1, "selector": jsonObject{"matchLabels": labels}, "template": template}
	}
	text, err := json.Marshal(written)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// pod gives the pod of the thing.
func (g *thing) pod(names secretNames) jsonObject {
	lists := map[string][]any{}
	add := func(list string, item jsonObject) { lists[list] = append(lists[list], item) }
	for i, ref := range g.refs {
		g.refer(i, ref, names[ref.base], add)
	}
	if g.foreign {
		add("sources", jsonObject{"secret": jsonObject{"name": somebodys}})
		add("volumes", jsonObject{"name": "theirs", "secret": jsonObject{"secretName": somebodys}})
	}
	if sources := lists["sources"]; sources != nil {
		add("volumes", jsonObject{"name": "projected", "projected": jsonObject{"sources": sources}})
	}
	app, cpu, mention := container("app", lists["env"], lists["envFrom"]), "1m", "none"
	if g.mentions {
		mention = names[g.refs[0].base]
	}
	if g.broken {
		cpu = "1001"
	}
	app["args"], app["resources"] = []any{"--secret=" + mention}, jsonObject{"requests": jsonObject{"cpu": cpu}}
	pod := jsonObject{"terminationGracePeriodSeconds": 0, "containers": []any{app}}
	if lists["init env"] != nil || lists["init envFrom"] != nil {
		pod["initContainers"] = []any{container("before", lists["init env"], lists["init envFrom"])}
	}
	maps.DeleteFunc(lists, func(name string, _ []any) bool { return name != "volumes" && name != "imagePullSecrets" })
	for name, list := range lists {
		pod[name] = list
	}
	if g.kind == "CronJob" || g.kind == "Job" {
		pod["restartPolicy"] = "Never"
	}
	return pod
}

func container(name string, env, envFrom []any) jsonObject {
	c := jsonObject{"name": name, "image": "i"}
	if env != nil {
		c["env"] = env
	}
	if envFrom != nil {
		c["envFrom"] = envFrom
	}
	return c
}

// refer writes one reference into the lists of a pod.
func (g *thing) refer(i int, ref refTo, secret string, add func(list string, item jsonObject)) {
	key := strings.ReplaceAll(strings.ToUpper(ref.base), "-", "_")
	if ref.base == keyringBase {
		key = "FERNET_KEY"
	}
	switch ref.shape {
	case "volume":
		add("volumes", jsonObject{"name": fmt.Sprintf("v%d", i), "secret": jsonObject{"secretName": secret}})
	case "volume called like its Secret":
		add("volumes", jsonObject{"name": ref.base, "secret": jsonObject{"secretName": secret}})
	case "projected":
		add("sources", jsonObject{"secret": jsonObject{"name": secret}})
	case "env", "init env":
		add(ref.shape, jsonObject{"name": fmt.Sprintf("V%d", i), "valueFrom": jsonObject{"secretKeyRef": jsonObject{"name": secret, "key": key}}})
	case "envFrom", "init envFrom":
		add(ref.shape, jsonObject{"secretRef": jsonObject{"name": secret}})
	case "pull":
		add("imagePullSecrets", jsonObject{"name": secret})
	}
}
