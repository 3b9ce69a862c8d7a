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
	Hard    Class = iota // something reads it, will read it, or may
	History              // only a return to an older revision, or a look back, would need it
)

// Finding is one reference to a Secret.
type Finding struct {
	Group, Kind, Namespace, Name string // of the object that refers to it
	Secret                       string
	Path                         string // as Hit.Path
	Class                        Class
	Reason                       string // what the reference stands for, in a few words
	// Of history: what the object belongs to, as deployment.apps/web, and the
	// revision of that which cannot be returned to without the Secret. Finished
	// Pods and Jobs have no revision, and may belong to nothing.
	Owner, Revision string
}

// Object gives the object as kubectl writes it: deployment.apps/web.
func (f Finding) Object() string {
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
)

const deploymentRevision = "deployment.kubernetes.io/revision"

func groupKind(obj *unstructured.Unstructured) schema.GroupKind {
	return obj.GroupVersionKind().GroupKind()
}

// Seen is what Classify needs of one object: what it refers to, and what it
// tells about others. It keeps nothing else of the object.
type Seen struct {
	kind      schema.GroupKind
	uid       types.UID
	owner     types.UID // its controller's
	ownerKind schema.GroupKind
	finding   Finding // of each hit, as far as it can be said without the others
	hits      []Hit
	revision  int64    // of a ControllerRevision
	current   []string // the ControllerRevisions that a StatefulSet's status names
}

// Look gives what has to be kept of an object; false: nothing.
func Look(obj *unstructured.Unstructured, names func(string) bool) (Seen, bool) {
	kind := groupKind(obj)
	s := Seen{kind: kind, uid: obj.GetUID(), hits: Find(obj, names)}
	if len(s.hits) == 0 && kind != statefulSet && kind != controllerRevision {
		return s, false
	}
	s.finding = Finding{Group: kind.Group, Kind: kind.Kind, Namespace: obj.GetNamespace(), Name: obj.GetName()}
	if owner := metav1.GetControllerOf(obj); owner != nil {
		gv, _ := schema.ParseGroupVersion(owner.APIVersion) // of a group that is none, nothing is known
		s.owner, s.ownerKind = owner.UID, schema.GroupKind{Group: gv.Group, Kind: owner.Kind}
		s.finding.Owner = object(s.ownerKind, owner.Name)
	}
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
		return Hard, "CronJob"
	case controllerRevision:
		return Hard, "ControllerRevision that may be current"
	case deployment, statefulSet, daemonSet, replication, podTemplate:
		return Hard, "current template"
	default:
		return Hard, "object"
	}
}

func judgePod(obj *unstructured.Unstructured) (Class, string) {
	phase, _, _ := unstructured.NestedString(obj.Object, "status", "phase")
	switch phase {
	case "Succeeded", "Failed":
		return History, "finished pod"
	case "Running":
		return Hard, "running pod"
	default:
		return Hard, "unfinished pod"
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
		return Hard, "ReplicaSet with " + strconv.FormatInt(max(wanted, live), 10) + " replicas"
	case metav1.GetControllerOf(obj) == nil:
		return Hard, "ReplicaSet that belongs to nothing"
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
	return Hard, "unfinished Job"
}

// Classify gives the findings, in a fixed order. It needs all that Look kept of
// a namespace: a ControllerRevision is history only beside its owner and its
// successors.
func Classify(all []Seen) []Finding {
	var findings []Finding
	revisions := index(all)
	for _, s := range all {
		if s.kind == controllerRevision && revisions.old(s) {
			s.finding.Class, s.finding.Reason = History, "old ControllerRevision"
		}
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
	f.Secret, f.Path = hit.Secret, hit.Path
	if f.Class == History {
		return f
	}
	f.Owner, f.Revision = "", ""
	if hit.Annotation == LastApplied {
		f.Reason = "manifest is behind: annotation " + LastApplied
	}
	return f
}

func compare(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.Class, b.Class),
		strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Object(), b.Object()),
		strings.Compare(a.Path, b.Path), strings.Compare(a.Secret, b.Secret))
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
			r.highest[s.owner] = max(r.highest[s.owner], s.revision)
		}
	}
	return r
}

// old says that a ControllerRevision has a successor, and that no StatefulSet
// still makes pods from it. Those of other controllers are never known to be old.
func (r revisions) old(s Seen) bool {
	if s.revision >= r.highest[s.owner] {
		return false
	}
	named, there := r.named[s.owner]
	return s.ownerKind == daemonSet || s.ownerKind == statefulSet && there && !slices.Contains(named, s.finding.Name)
}
