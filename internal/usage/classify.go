// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Class says what a reference keeps a Secret for.
type Class int

// The classes of references.
const (
	Use      Class = iota // something reads the Secret, will read it, or may
	Manifest              // whoever applies a manifest again goes back to the Secret
	Mention               // the name stands where it may mean the Secret
	History               // only a return to an older revision, or a look back, would need it
)

// Ignore gives the word by which retire overlooks a class; empty for uses, which it never does.
func (c Class) Ignore() string {
	switch c {
	case Manifest:
		return "manifests"
	case Mention:
		return "mentions"
	case History:
		return "history"
	default:
		return ""
	}
}

// Finding is one reference to a Secret.
type Finding struct {
	Group, Kind, Namespace, Name string // of the object that refers to it
	Release                      string // of Helm, if that object stores one
	Root                         string // the topmost owner that is known, as deployment.apps/web; without an owner the object itself
	Secret                       string
	Field                        string // where the name stands, as Hit.Path
	Class                        Class
	Reason                       string // what the reference stands for, in a few words
	// Of history: what the object belongs to, as deployment.apps/web, and the
	// revision of that which cannot be returned to without the Secret. Finished
	// Pods and Jobs have no revision, and may belong to nothing. A release of Helm
	// always has its revision.
	Owner, Revision string
}

// Object gives the object as kubectl writes it: deployment.apps/web.
func (f Finding) Object() string {
	if f.Release != "" {
		return "helm release " + f.Release + ", revision " + f.Revision
	}
	return object(schema.GroupKind{Group: f.Group, Kind: f.Kind}, f.Name)
}

func object(kind schema.GroupKind, name string) string {
	return strings.ToLower(kind.String()) + "/" + name
}

var (
	pod                = schema.GroupKind{Kind: "Pod"}
	podTemplate        = schema.GroupKind{Kind: "PodTemplate"}
	replication        = schema.GroupKind{Kind: "ReplicationController"}
	deployment         = schema.GroupKind{Group: "apps", Kind: "Deployment"}
	replicaSet         = schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}
	statefulSet        = schema.GroupKind{Group: "apps", Kind: "StatefulSet"}
	daemonSet          = schema.GroupKind{Group: "apps", Kind: "DaemonSet"}
	controllerRevision = schema.GroupKind{Group: "apps", Kind: "ControllerRevision"}
	job                = schema.GroupKind{Group: "batch", Kind: "Job"}
	cronJob            = schema.GroupKind{Group: "batch", Kind: "CronJob"}
	secret             = schema.GroupKind{Kind: "Secret"}
	configMap          = schema.GroupKind{Kind: "ConfigMap"}
)

const deploymentRevision = "deployment.kubernetes.io/revision"

func groupKind(obj *unstructured.Unstructured) schema.GroupKind {
	return obj.GroupVersionKind().GroupKind()
}

// owner is the controller of an object.
type owner struct {
	uid    types.UID
	kind   schema.GroupKind
	object string // as kubectl writes it; empty: there is none
}

func ownerOf(obj *unstructured.Unstructured) owner {
	ref := metav1.GetControllerOf(obj)
	if ref == nil {
		return owner{}
	}
	gv, _ := schema.ParseGroupVersion(ref.APIVersion) // of a group that is none, nothing is known
	kind := schema.GroupKind{Group: gv.Group, Kind: ref.Kind}
	return owner{ref.UID, kind, object(kind, ref.Name)}
}

// Seen is what Classify needs of one object: what it refers to, and what it
// tells about others. It keeps nothing else of the object.
type Seen struct {
	kind     schema.GroupKind
	uid      types.UID
	owner    owner
	finding  Finding // of each hit, as far as it can be said without the others
	hits     []Hit
	revision int64    // of a ControllerRevision
	current  []string // the ControllerRevisions that a StatefulSet's status names
}

// tells are the kinds of which something is kept though they refer to nothing: their
// objects stand between others and the owners of these, or tell which revisions are old.
var tells = map[schema.GroupKind]bool{statefulSet: true, controllerRevision: true, replicaSet: true, job: true}

// Look gives what has to be kept of an object; false: nothing.
func Look(obj *unstructured.Unstructured, names func(string) bool) (Seen, bool) {
	kind := groupKind(obj)
	s := Seen{kind: kind, uid: obj.GetUID(), owner: ownerOf(obj), hits: Find(obj, names)}
	if len(s.hits) == 0 && !tells[kind] {
		return s, false
	}
	s.finding = Finding{Group: kind.Group, Kind: kind.Kind, Namespace: obj.GetNamespace(), Name: obj.GetName(), Owner: s.owner.object}
	switch kind {
	case statefulSet:
		for _, field := range []string{"currentRevision", "updateRevision"} {
			name, _, _ := unstructured.NestedString(obj.Object, "status", field)
			s.current = append(s.current, name)
		}
	case controllerRevision:
		s.revision, _, _ = unstructured.NestedInt64(obj.Object, "revision")
		s.finding.Revision = strconv.FormatInt(s.revision, 10)
	case replicaSet:
		s.finding.Revision = obj.GetAnnotations()[deploymentRevision]
	}
	s.finding.Class, s.finding.Reason = judge(kind, obj)
	if isRelease(obj) {
		s.ofRelease(obj)
	}
	return s, true
}

// judge says of an object by itself what its references stand for. Of a
// ControllerRevision the others decide.
func judge(kind schema.GroupKind, obj *unstructured.Unstructured) (Class, string) {
	switch kind {
	case pod:
		return judgePod(obj)
	case replicaSet:
		return judgeReplicaSet(obj)
	case job:
		return judgeJob(obj)
	case cronJob:
		return Use, "CronJob"
	case controllerRevision:
		return Use, "ControllerRevision that may be current"
	case deployment, statefulSet, daemonSet, replication, podTemplate:
		return Use, "current template"
	default:
		return Use, "object"
	}
}

func judgePod(obj *unstructured.Unstructured) (Class, string) {
	phase, _, _ := unstructured.NestedString(obj.Object, "status", "phase")
	switch phase {
	case "Succeeded", "Failed":
		return History, "finished pod"
	case "Running":
		return Use, "running pod"
	default:
		return Use, "unfinished pod"
	}
}

// judgeReplicaSet takes a ReplicaSet at 0 for history only as one of several of
// something else: one by itself is scaled to 0 and may be scaled up again.
func judgeReplicaSet(obj *unstructured.Unstructured) (Class, string) {
	wanted, found, err := unstructured.NestedInt64(obj.Object, "spec", "replicas")
	if !found || err != nil {
		wanted = 1 // the API server's default
	}
	live, _, err := unstructured.NestedInt64(obj.Object, "status", "replicas")
	switch {
	case wanted != 0 || live != 0 || err != nil:
		return Use, "ReplicaSet with " + strconv.FormatInt(max(wanted, live), 10) + " replicas"
	case metav1.GetControllerOf(obj) == nil:
		return Use, "ReplicaSet that belongs to nothing"
	default:
		return History, "old ReplicaSet"
	}
}

func judgeJob(obj *unstructured.Unstructured) (Class, string) {
	conditions, _, _ := unstructured.NestedSlice(obj.Object, "status", "conditions")
	for _, c := range conditions {
		c, _ := c.(map[string]any)
		if c["status"] == "True" && (c["type"] == "Complete" || c["type"] == "Failed") {
			return History, "finished Job"
		}
	}
	return Use, "unfinished Job"
}

// Classify gives the findings, in a fixed order. It needs all that Look kept of
// a namespace: a ControllerRevision is history only beside its owner and its
// successors.
func Classify(all []Seen) []Finding {
	var findings []Finding
	revisions, owners := index(all), owners(all)
	for _, s := range all {
		if s.kind == controllerRevision && revisions.old(s) {
			s.finding.Class, s.finding.Reason = History, "old ControllerRevision"
		}
		s.finding.Root = root(s, owners)
		for _, hit := range s.hits {
			findings = append(findings, s.about(hit))
		}
	}
	slices.SortFunc(findings, compare)
	return findings
}

// about makes the finding of a hit.
func (s Seen) about(hit Hit) Finding {
	f := s.finding
	f.Secret, f.Field = hit.Secret, hit.Path
	if f.Class != History {
		f.Class, f.Owner = hit.Class, ""
		f.Reason = cmp.Or(map[Class]string{Manifest: "the last applied manifest names it", Mention: "the name is mentioned"}[hit.Class], f.Reason)
		if f.Release == "" {
			f.Revision = ""
		}
	}
	if hit.In != "" {
		f.Reason += ": " + hit.In
	}
	return f
}

// owners gives the owner of each object by the object's UID.
func owners(all []Seen) map[types.UID]owner {
	by := map[types.UID]owner{}
	for _, s := range all {
		if s.uid != "" && s.owner.object != "" {
			by[s.uid] = s.owner
		}
	}
	return by
}

// root goes from owner to owner. Objects that own each other in a circle end it.
func root(s Seen, owners map[types.UID]owner) string {
	top, at := s.finding.Object(), s.owner
	for range len(owners) + 1 {
		if at.object == "" {
			break
		}
		top, at = at.object, owners[at.uid]
	}
	return top
}

func compare(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.Class, b.Class),
		strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Object(), b.Object()),
		strings.Compare(a.Reason, b.Reason), strings.Compare(a.Field, b.Field), strings.Compare(a.Secret, b.Secret))
}

// revisions is what is known of ControllerRevisions by the UID of their owner.
type revisions struct {
	named   map[types.UID][]string // by the status of a StatefulSet that is there
	highest map[types.UID]int64
}

func index(all []Seen) revisions {
	r := revisions{named: map[types.UID][]string{}, highest: map[types.UID]int64{}}
	for _, s := range all {
		switch s.kind {
		case statefulSet:
			r.named[s.uid] = s.current
		case controllerRevision:
			r.highest[s.owner.uid] = max(r.highest[s.owner.uid], s.revision)
		}
	}
	return r
}

// old says that a ControllerRevision has a successor, and that no StatefulSet
// still makes pods from it. Those of other controllers are never known to be old.
func (r revisions) old(s Seen) bool {
	if s.revision >= r.highest[s.owner.uid] {
		return false
	}
	named, there := r.named[s.owner.uid]
	return s.owner.kind == daemonSet || s.owner.kind == statefulSet && there && !slices.Contains(named, s.finding.Name)
}
