// SPDX-License-Identifier: Apache-2.0

// Command localkube runs a real Kubernetes control plane on this machine, for tests and demonstrations: etcd,
// kube-apiserver, kube-controller-manager and kube-scheduler, and kwok in the kubelet's place, all of which
// `make localkube` builds unmodified from their Go modules.
//
//	localkube [--api-only] --data-dir DIR --kubeconfig FILE           run in the foreground until SIGTERM or SIGINT
//	localkube user --data-dir DIR --kubeconfig FILE NAME [GROUP...]   a kubeconfig for one more user, who may do nothing yet
//	localkube run [--api-only] [--data-dir DIR] -- COMMAND [ARG...]   run a command beside a control plane of its own
//
// With --api-only it is etcd and kube-apiserver alone: objects are kept, and nothing acts on them.
//
// In goes an empty or absent directory; out come a kubeconfig and, once the API server and the controllers work and pods
// may go to the node, the line `localkube ready` on standard output. Everything else it writes (certificates, etcd's data,
// one log for each process) stays in the directory. It listens on loopback only, and its processes die with it, however it
// dies.
//
// It refuses a directory that is in use, a kubeconfig that it did not write itself, and every system but Linux. There is no
// kubelet and no container: kwok reports each pod on the one node ready at once, and a Job's pod finished, whether or not
// the Secrets that it names exist. A pod that asks for more than the node has stays Pending, and its rollout fails. etcd has
// no TLS: whoever has an account on this machine can read it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, interrupt := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { interrupt(signalled{<-signals}) }()
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// signalled is the cause of a context that a signal ended.
type signalled struct{ os.Signal }

func (s signalled) Error() string { return s.String() }
