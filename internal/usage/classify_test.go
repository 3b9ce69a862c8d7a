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
		class := map[usage.Class]string{usage.Hard: "hard", usage.History: "history"}[f.Class]
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s: %s %s %s", class, f.Object(), f.Reason, f.Owner, f.Revision)))
	}
	return lines
}

func TestClassifyByTheObjectItself(t *testing.T) {
	const owned = `metadata: {name: x, annotations: {deployment.kubernetes.io/revision: "4"}, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: "1", controller: true}]}`
	for _, tc := range []struct{ name, object, want string }{
		{"pod", "apiVersion: v1\nkind: Pod\nstatus: {phase: Running}", "hard pod/x: running pod"},
		{"pending pod", "apiVersion: v1\nkind: Pod\nstatus: {phase: Pending}", "hard pod/x: unfinished pod"},
		{"pod without a phase", "apiVersion: v1\nkind: Pod", "hard pod/x: unfinished pod"},
		{"finished pod", "apiVersion: v1\nkind: Pod\nstatus: {phase: Succeeded}", "history pod/x: finished pod"},
		{"failed pod", "apiVersion: v1\nkind: Pod\nstatus: {phase: Failed}\n" + strings.ReplaceAll(owned, "Deployment, name: web", "ReplicaSet, name: web-1"), "history pod/x: finished pod replicaset.apps/web-1"},
		{"a pod of metrics", "apiVersion: metrics.k8s.io/v1\nkind: Pod\nstatus: {phase: Failed}", "hard pod.metrics.k8s.io/x: object"},
		{"deployment at 0", "apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: 0}", "hard deployment.apps/x: current template"},
		{"statefulset", "apiVersion: apps/v1\nkind: StatefulSet", "hard statefulset.apps/x: current template"},
		{"daemonset", "apiVersion: apps/v1\nkind: DaemonSet", "hard daemonset.apps/x: current template"},
		{"replicationcontroller at 0", "apiVersion: v1\nkind: ReplicationController\nspec: {replicas: 0}", "hard replicationcontroller/x: current template"},
		{"podtemplate", "apiVersion: v1\nkind: PodTemplate", "hard podtemplate/x: current template"},
		{"old replicaset", "apiVersion: apps/v1\nkind: ReplicaSet\nspec: {replicas: 0}\nstatus: {replicas: 0}\n" + owned, "history replicaset.apps/x: old ReplicaSet deployment.apps/web 4"},
		{"replicaset above 0", "apiVersion: apps/v1\nkind: ReplicaSet\nspec: {replicas: 3}\nstatus: {replicas: 1}\n" + owned, "hard replicaset.apps/x: ReplicaSet with 3 replicas"},
		{"replicaset whose pods have yet to go", "apiVersion: apps/v1\nkind: ReplicaSet\nspec: {replicas: 0}\nstatus: {replicas: 2}\n" + owned, "hard replicaset.apps/x: ReplicaSet with 2 replicas"},
		{"replicaset by default", "apiVersion: apps/v1\nkind: ReplicaSet\n" + owned, "hard replicaset.apps/x: ReplicaSet with 1 replicas"},
		{"replicaset by itself", "apiVersion: apps/v1\nkind: ReplicaSet\nspec: {replicas: 0}", "hard replicaset.apps/x: ReplicaSet that belongs to nothing"},
		{"job", "apiVersion: batch/v1\nkind: Job", "hard job.batch/x: unfinished Job"},
		{"job not complete", "apiVersion: batch/v1\nkind: Job\nstatus: {conditions: [{type: Complete, status: 'False'}, {type: Suspended, status: 'True'}]}", "hard job.batch/x: unfinished Job"},
		{"complete job", "apiVersion: batch/v1\nkind: Job\nstatus: {conditions: [{type: SuccessCriteriaMet, status: 'True'}, {type: Complete, status: 'True'}]}", "history job.batch/x: finished Job"},
		{"failed job", "apiVersion: batch/v1\nkind: Job\nstatus: {conditions: [{type: Failed, status: 'True'}]}", "history job.batch/x: finished Job"},
		{"cronjob", "apiVersion: batch/v1\nkind: CronJob\nspec: {suspend: true}", "hard cronjob.batch/x: CronJob"},
		{"anything", "apiVersion: example.com/v1\nkind: Thing", "hard thing.example.com/x: object"},
		{"revision of nothing", "apiVersion: apps/v1\nkind: ControllerRevision\nrevision: 1\ndata: secret-a", "hard controllerrevision.apps/x: ControllerRevision that may be current"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			manifest := tc.object + "\nuses: secret-a"
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

func TestClassifyManifests(t *testing.T) {
	const annotated = "\nmetadata: {name: x, annotations: {" + usage.LastApplied + `: '{"spec": "secret-a"}', other: '["secret-a"]'}}`
	const behind = "manifest is behind: annotation " + usage.LastApplied
	for _, tc := range []struct{ object, want string }{
		{"apiVersion: apps/v1\nkind: Deployment", "hard deployment.apps/x: current template\nhard deployment.apps/x: " + behind},
		{"apiVersion: v1\nkind: ConfigMap", "hard configmap/x: object\nhard configmap/x: " + behind},
		{"apiVersion: v1\nkind: Pod\nstatus: {phase: Failed}", "history pod/x: finished pod\nhistory pod/x: finished pod"},
	} {
		if got := strings.Join(classify(t, tc.object+annotated), "\n"); got != tc.want {
			t.Errorf("got\n%s\nwant\n%s", got, tc.want)
		}
	}
}

// revision is a ControllerRevision that uses secret-a.
func revision(name string, number int, owner string) string {
	return fmt.Sprintf("\n---\napiVersion: apps/v1\nkind: ControllerRevision\nmetadata: {name: %s, ownerReferences: [%s]}\nrevision: %d\ndata: secret-a", name, owner, number)
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
hard controllerrevision.apps/db-1: ControllerRevision that may be current
hard controllerrevision.apps/db-3: ControllerRevision that may be current
history controllerrevision.apps/db-2: old ControllerRevision statefulset.apps/db 2`},
		{"one that its status does not know yet", set + revision("db-4", 4, ofSet) + revision("db-2", 2, ofSet), `
hard controllerrevision.apps/db-4: ControllerRevision that may be current
history controllerrevision.apps/db-2: old ControllerRevision statefulset.apps/db 2`},
		{"a StatefulSet that is not there", revision("db-1", 1, ofSet)[5:] + revision("db-2", 2, ofSet), `
hard controllerrevision.apps/db-1: ControllerRevision that may be current
hard controllerrevision.apps/db-2: ControllerRevision that may be current`},
		{"a DaemonSet beside a StatefulSet", set + revision("agent-8", 8, ofHost) + revision("agent-9", 9, ofHost) + revision("db-3", 3, ofSet), `
hard controllerrevision.apps/agent-9: ControllerRevision that may be current
hard controllerrevision.apps/db-3: ControllerRevision that may be current
history controllerrevision.apps/agent-8: old ControllerRevision daemonset.apps/agent 8`},
		{"the highest does not use it", set + revision("agent-8", 8, ofHost) + strings.Replace(revision("agent-9", 9, ofHost), "secret-a", "other", 1), `
history controllerrevision.apps/agent-8: old ControllerRevision daemonset.apps/agent 8`},
		{"another kind of owner", revision("x-1", 1, ofKind)[5:] + revision("x-2", 2, ofKind), `
hard controllerrevision.apps/x-1: ControllerRevision that may be current
hard controllerrevision.apps/x-2: ControllerRevision that may be current`},
		{"an owner that does not control", set + revision("x-1", 1, strings.Replace(ofHost, ", controller: true", "", 1)) + revision("x-2", 2, ofHost), `
hard controllerrevision.apps/x-1: ControllerRevision that may be current
hard controllerrevision.apps/x-2: ControllerRevision that may be current`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := "\n" + strings.Join(classify(t, tc.objects), "\n"); got != tc.want {
				t.Errorf("got%s\nwant%s", got, tc.want)
			}
		})
	}
}
