// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
)

// classify runs manifests, apart by ---, through Look and Classify, and gives
// for each finding the class, the object, the reason and what is lost.
func classify(t *testing.T, manifests string) (lines []string) {
	t.Helper()
	var all []usage.Seen
	for _, m := range strings.Split(manifests, "\n---\n") {
		if seen, ok := usage.Look(object(t, m), wanted); ok {
			all = append(all, seen)
		}
	}
	findings := usage.Classify(all)
	slices.Reverse(all)
	if again := usage.Classify(all); !slices.Equal(findings, again) {
		t.Errorf("in another order %+v\nand not %+v", again, findings)
	}
	for _, f := range findings {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s: %s %s %s", className[f.Class], f.Object(), f.Reason, f.Owner, f.Revision)))
	}
	return lines
}

func TestClassifyByTheObjectItself(t *testing.T) {
	const owned = `metadata: {name: x, annotations: {deployment.kubernetes.io/revision: "4"}, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: "1", controller: true}]}`
	for _, tc := range []struct{ name, object, want string }{
		{"pod", "apiVersion: v1\nkind: Pod\nstatus: {phase: Running}", "use pod/x: running pod"},
		{"pending pod", "apiVersion: v1\nkind: Pod\nstatus: {phase: Pending}", "use pod/x: unfinished pod"},
		{"pod without a phase", "apiVersion: v1\nkind: Pod", "use pod/x: unfinished pod"},
		{"finished pod", "apiVersion: v1\nkind: Pod\nstatus: {phase: Succeeded}", "history pod/x: finished pod"},
		{"failed pod", "apiVersion: v1\nkind: Pod\nstatus: {phase: Failed}\n" + strings.ReplaceAll(owned, "Deployment, name: web", "ReplicaSet, name: web-1"), "history pod/x: finished pod replicaset.apps/web-1"},
		{"a Pod of another group", "apiVersion: example.com/v1\nkind: Pod\nstatus: {phase: Failed}", "use pod.example.com/x: object"},
		{"deployment at 0", "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 0}", "use deployment.apps/x: current template"},
		{"statefulset", "apiVersion: apps/v1\nkind: StatefulSet", "use statefulset.apps/x: current template"},
		{"daemonset", "apiVersion: apps/v1\nkind: DaemonSet", "use daemonset.apps/x: current template"},
		{"replicationcontroller at 0", "apiVersion: v1\nkind: ReplicationController\nspec: {replicas: 0}", "use replicationcontroller/x: current template"},
		{"podtemplate", "apiVersion: v1\nkind: PodTemplate", "use podtemplate/x: current template"},
		{"old replicaset", "apiVersion: apps/v1\nkind: ReplicaSet\nspec: {replicas: 0}\nstatus: {replicas: 0}\n" + owned, "history replicaset.apps/x: old ReplicaSet deployment.apps/web 4"},
		{"replicaset above 0", "apiVersion: apps/v1\nkind: ReplicaSet\nspec: {replicas: 3}\nstatus: {replicas: 1}\n" + owned, "use replicaset.apps/x: ReplicaSet with 3 replicas"},
		{"replicaset whose pods have yet to go", "apiVersion: apps/v1\nkind: ReplicaSet\nspec: {replicas: 0}\nstatus: {replicas: 2}\n" + owned, "use replicaset.apps/x: ReplicaSet with 2 replicas"},
		{"replicaset by default", "apiVersion: apps/v1\nkind: ReplicaSet\n" + owned, "use replicaset.apps/x: ReplicaSet with 1 replicas"},
		{"replicaset by itself", "apiVersion: apps/v1\nkind: ReplicaSet\nspec: {replicas: 0}", "use replicaset.apps/x: ReplicaSet that belongs to nothing"},
		{"job", "apiVersion: batch/v1\nkind: Job", "use job.batch/x: unfinished Job"},
		{"job not complete", "apiVersion: batch/v1\nkind: Job\nstatus: {conditions: [{type: Complete, status: 'False'}, {type: Suspended, status: 'True'}]}", "use job.batch/x: unfinished Job"},
		{"complete job", "apiVersion: batch/v1\nkind: Job\nstatus: {conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: 'True'}]}", "history job.batch/x: finished Job"},
		{"failed job", "apiVersion: batch/v1\nkind: Job\nstatus: {conditions: [{type: Failed, status: 'True'}]}", "history job.batch/x: finished Job"},
		{"cronjob", "apiVersion: batch/v1\nkind: CronJob\nspec: {suspend: true}", "use cronjob.batch/x: CronJob"},
		{"anything", "apiVersion: example.com/v1\nkind: Thing", "use thing.example.com/x: object"},
		{"revision of nothing", "apiVersion: apps/v1\nkind: ControllerRevision\nrevision: 1\ndata: {secretName: secret-a}", "use controllerrevision.apps/x: ControllerRevision that may be current"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			manifest := tc.object + "\nsecretName: secret-a"
			if !strings.Contains(manifest, "metadata:") {
				manifest += "\nmetadata: {name: x}"
			}
			if got := strings.Join(classify(t, manifest), "\n"); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
			if got := classify(t, strings.ReplaceAll(manifest, "secret-a", "other")); got != nil {
				t.Errorf("without the reference: %q", got)
			}
		})
	}
}

func TestIgnore(t *testing.T) {
	for class, want := range map[usage.Class]string{usage.Use: "", usage.Manifest: "manifests", usage.Mention: "mentions", usage.History: "history"} {
		if got := class.Ignore(); got != want {
			t.Errorf("%s: %q", className[class], got)
		}
	}
}

func TestClassifyMentionsAndManifests(t *testing.T) {
	const annotated = "\nmetadata: {name: x, annotations: {" + usage.LastApplied + `: '{"apiVersion":"apps/v1","kind":"Deployment","secretName":"secret-a","uses":"secret-a"}', other: '["secret-a"]'}}`
	const applied = "annotation " + usage.LastApplied
	for _, tc := range []struct{ object, want string }{
		{"apiVersion: apps/v1\nkind: Deployment\nsecretName: secret-a", `
use deployment.apps/x: current template
manifest deployment.apps/x: the last applied manifest names it: ` + applied + `
mention deployment.apps/x: the name is mentioned
mention deployment.apps/x: the name is mentioned: ` + applied},
		{"apiVersion: v1\nkind: Pod\nstatus: {phase: Failed}", `
history pod/x: finished pod
history pod/x: finished pod: ` + applied + `
history pod/x: finished pod: ` + applied},
	} {
		if got := "\n" + strings.Join(classify(t, tc.object+annotated), "\n"); got != tc.want {
			t.Errorf("got%s\nwant%s", got, tc.want)
		}
	}
}

// Findings of what belongs together have the same root, which need not refer to the Secret.
func TestRoot(t *testing.T) {
	const (
		web   = "\n---\napiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web-1, uid: r1, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d1, controller: true}]}"
		job   = "\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: tick-1, uid: j1, ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: tick, uid: c1, controller: true}]}"
		ring  = "\n---\napiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: ring, uid: x1, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: ring, uid: x1, controller: true}]}"
		noUID = "\n---\napiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web-1, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, controller: true}]}"
	)
	for _, tc := range []struct{ name, owner, others, want string }{
		{"a pod of a Deployment", "ReplicaSet, name: web-1, uid: r1", web, "deployment.apps/web"},
		{"its ReplicaSet is not seen", "ReplicaSet, name: web-1, uid: r1", "", "replicaset.apps/web-1"},
		{"a pod of a StatefulSet", "StatefulSet, name: db, uid: s1", web, "statefulset.apps/db"},
		{"a pod of a CronJob", "Job, name: tick-1, uid: j1", job, "cronjob.batch/tick"},
		{"owners in a circle", "ReplicaSet, name: ring, uid: x1", ring, "replicaset.apps/ring"},
		{"objects without a UID", "Thing, name: other", noUID, "thing.apps/other"},
	} {
		var all []usage.Seen
		for _, m := range strings.Split("apiVersion: v1\nkind: Pod\nsecretName: secret-a\nmetadata: {name: x, uid: p1, ownerReferences: [{apiVersion: apps/v1, kind: "+tc.owner+", controller: true}]}"+tc.others, "\n---\n") {
			if seen, ok := usage.Look(object(t, m), wanted); ok {
				all = append(all, seen)
			}
		}
		if findings := usage.Classify(all); len(findings) != 1 || findings[0].Root != tc.want {
			t.Errorf("%s: %+v, want %s", tc.name, findings, tc.want)
		}
	}
	if lone, _ := usage.Look(object(t, "apiVersion: v1\nkind: Pod\nsecretName: secret-a\nmetadata: {name: x}"), wanted); usage.Classify([]usage.Seen{lone})[0].Root != "pod/x" {
		t.Error("a pod without an owner is not its own root")
	}
}

// revision is a ControllerRevision that uses secret-a.
func revision(name string, number int, owner string) string {
	return fmt.Sprintf("\n---\napiVersion: apps/v1\nkind: ControllerRevision\nmetadata: {name: %s, ownerReferences: [%s]}\nrevision: %d\ndata: {secretName: secret-a}", name, owner, number)
}

func TestClassifyRevisions(t *testing.T) {
	const (
		set    = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: db, uid: s1}\nstatus: {currentRevision: db-1, updateRevision: db-3}"
		ofSet  = "{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: s1, controller: true}"
		ofHost = "{apiVersion: apps/v1, kind: DaemonSet, name: agent, uid: d1, controller: true}"
		ofKind = "{apiVersion: example.com/v1, kind: StatefulSet, name: db, uid: c1, controller: true}"
	)
	for _, tc := range []struct{ name, objects, want string }{
		{"a StatefulSet in the middle of a rollout", set + revision("db-1", 1, ofSet) + revision("db-2", 2, ofSet) + revision("db-3", 3, ofSet), `
use controllerrevision.apps/db-1: ControllerRevision that may be current
use controllerrevision.apps/db-3: ControllerRevision that may be current
history controllerrevision.apps/db-2: old ControllerRevision statefulset.apps/db 2`},
		{"one that its status does not know yet", set + revision("db-4", 4, ofSet) + revision("db-2", 2, ofSet), `
use controllerrevision.apps/db-4: ControllerRevision that may be current
history controllerrevision.apps/db-2: old ControllerRevision statefulset.apps/db 2`},
		{"a StatefulSet that is not there", revision("db-1", 1, ofSet)[5:] + revision("db-2", 2, ofSet), `
use controllerrevision.apps/db-1: ControllerRevision that may be current
use controllerrevision.apps/db-2: ControllerRevision that may be current`},
		{"a DaemonSet beside a StatefulSet", set + revision("agent-8", 8, ofHost) + revision("agent-9", 9, ofHost) + revision("db-3", 3, ofSet), `
use controllerrevision.apps/agent-9: ControllerRevision that may be current
use controllerrevision.apps/db-3: ControllerRevision that may be current
history controllerrevision.apps/agent-8: old ControllerRevision daemonset.apps/agent 8`},
		{"the highest does not use it", set + revision("agent-8", 8, ofHost) + strings.Replace(revision("agent-9", 9, ofHost), "secret-a", "other", 1), `
history controllerrevision.apps/agent-8: old ControllerRevision daemonset.apps/agent 8`},
		{"another kind of owner", revision("x-1", 1, ofKind)[5:] + revision("x-2", 2, ofKind), `
use controllerrevision.apps/x-1: ControllerRevision that may be current
use controllerrevision.apps/x-2: ControllerRevision that may be current`},
		{"an owner that does not control", set + revision("x-1", 1, strings.Replace(ofHost, ", controller: true", "", 1)) + revision("x-2", 2, ofHost), `
use controllerrevision.apps/x-1: ControllerRevision that may be current
use controllerrevision.apps/x-2: ControllerRevision that may be current`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := "\n" + strings.Join(classify(t, tc.objects), "\n"); got != tc.want {
				t.Errorf("got%s\nwant%s", got, tc.want)
			}
		})
	}
}
