// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
)

const (
	// stages is the file beside the commands that tells kwok what becomes of nodes and pods.
	stages = "kwok-stages.yaml"

	// oneNode is all there is of the node. A pod that asks for more than it has stays Pending.
	oneNode = `{"apiVersion": "v1", "kind": "Node",
		"metadata": {"name": "localkube", "annotations": {"kwok.x-k8s.io/node": "fake"}},
		"status": {
			"allocatable": {"cpu": "64", "memory": "256Gi", "pods": "10000"},
			"capacity": {"cpu": "64", "memory": "256Gi", "pods": "10000"}}}`
)

// startWorkloads starts what lets pods run, or seem to: a scheduler, and kwok, which reports in the kubelet's place.
func (p *plane) startWorkloads() error {
	if err := p.spawn("kube-scheduler", "--kubeconfig="+p.path("scheduler.kubeconfig"),
		"--leader-elect=false", "--secure-port=0"); err != nil {
		return err
	}
	return p.spawn("kwok", "--kubeconfig="+p.path("kwok.kubeconfig"),
		"--config="+filepath.Join(p.bin, stages), "--manage-all-nodes=true")
}

// made tells whether an object is there: a try whose answer came too late may have made it.
func made(resp *http.Response) bool {
	return resp.StatusCode == http.StatusCreated || resp.StatusCode == http.StatusConflict
}

// free tells whether pods may go to a node. A new node has a taint until kwok has reported it ready and the controllers
// have seen that.
func free(resp *http.Response) bool {
	var node struct{ Spec struct{ Taints []any } }
	return ok(resp) && json.NewDecoder(resp.Body).Decode(&node) == nil && len(node.Spec.Taints) == 0
}
