// SPDX-License-Identifier: Apache-2.0

// Command reader sees a rotation as applications do. It takes sample after
// sample, read from the API server each time: for each Ready pod, the keyring
// Secret that its spec names has to open each token that its spec names, to the
// value that it always had.
//
// It takes a namespace, says "reading" once the first sample is taken, and ends
// with SIGTERM or SIGINT. Then it prints how many samples it took, and how many of
// them while pods of two templates were Ready side by side. The exit code is 1 if
// anything did not open, or if a rollout, of which there has to be one, gave fewer
// than 50 samples.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// pace is the shortest time from one sample to the next.
const pace = 20 * time.Millisecond

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "reader:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if len(args) != 1 {
		return fmt.Errorf("usage: reader NAMESPACE")
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return err
	}
	config.QPS = -1
	client, err := core.NewForConfig(config)
	if err != nil {
		return err
	}
	r := newReader(client.Pods(args[0]), client.Secrets(args[0]))
	said := false
	for tick := time.Tick(pace); ctx.Err() == nil; <-tick {
		if err := r.sample(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		if !said && r.samples > 0 {
			said = true
			fmt.Println("reading")
		}
	}
	for _, line := range r.report() {
		fmt.Println(line)
	}
	return r.verdict()
}
