// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

// suggestLimit is how long somebody who pressed the tab key waits for a cluster.
const suggestLimit = 2 * time.Second

// suggestion completes words. What cannot be found out is not suggested, and
// nothing is ever said about it: the user is in the middle of a line.
type suggestion func(a *app, cmd *cobra.Command) []string

// suggestFlags completes the flags of all verbs that have them.
func (a *app) suggestFlags(root *cobra.Command) {
	flags := map[string]suggestion{
		"context": contextNames, "contexts": contextNames,
		"namespace": namespaceNames, "forget-namespace": namespaceNames, "namespaces": namespaceNames, "to-namespace": namespaceNames,
		"from-cluster": recordedClusters, "forget-cluster": recordedClusters,
		"from": fixed(fromLedger, fromCluster), "against": fixed(fromCluster, fromLedger), "dry-run": fixed("none", "client", "server"),
	}
	for name, suggest := range flags {
		for _, cmd := range append(root.Commands(), root) {
			if cmd.LocalFlags().Lookup(name) != nil {
				_ = cmd.RegisterFlagCompletionFunc(name, a.words(suggest))
			}
		}
	}
}

// words makes cobra's form of a suggestion. Of a list, the last item is
// completed, with those before it kept.
func (a *app) words(suggest suggestion) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		kept := typed[:strings.LastIndex(typed, ",")+1]
		var out []string
		for _, word := range suggest(a, cmd) {
			if strings.HasPrefix(kept+word, typed) {
				out = append(out, kept+word)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func fixed(words ...string) suggestion {
	return func(*app, *cobra.Command) []string { return words }
}

func contextNames(a *app, _ *cobra.Command) (names []string) {
	kubeconfig, err := a.connect.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil
	}
	for name := range kubeconfig.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// recorded gives what the ledger's created records say, sorted and each once.
func recorded(a *app, cmd *cobra.Command, of func(ledger.Record) string) (names []string) {
	env, _ := cmd.Flags().GetString("env")
	path, _ := cmd.Flags().GetString("ledger")
	if path == "" {
		path = filepath.Join(filepath.Dir(env), action.DefaultLedger)
	}
	book, err := ledger.Read(a.machine.Files, path, ledger.Keys{})
	if err != nil {
		return nil
	}
	for _, record := range book.Records() {
		if record.State == ledger.Created {
			names = append(names, of(record))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func recordedClusters(a *app, cmd *cobra.Command) []string {
	return recorded(a, cmd, func(r ledger.Record) string { return r.Cluster })
}

// recordedNames are those of entries, and of their Secrets.
func recordedNames(a *app, cmd *cobra.Command) []string {
	return slices.Concat(
		recorded(a, cmd, func(r ledger.Record) string { return r.EnvKey }),
		recorded(a, cmd, func(r ledger.Record) string { base, _ := names.Split(r.Secret); return base }))
}

// ask asks the cluster for names, and gives up in time: a credential plugin does
// so by itself at no context's end.
func (a *app) ask(ctx context.Context, question func(context.Context, *cluster.Client) ([]string, error)) (names []string) {
	config, err := a.connect.ToRawKubeConfigLoader().ClientConfig()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, suggestLimit)
	defer cancel()
	answer := make(chan []string, 1)
	go func() {
		var live []string
		if client, err := cluster.Connect(config, nil); err == nil {
			live, _ = question(ctx, client)
		}
		answer <- live
	}()
	select {
	case names = <-answer:
	case <-ctx.Done():
	}
	return names
}

// namespaceNames are those of the ledger, and those of the cluster if it answers
// soon and tells.
func namespaceNames(a *app, cmd *cobra.Command) []string {
	names := recorded(a, cmd, func(r ledger.Record) string { return r.Namespace })
	names = append(names, a.ask(cmd.Context(), func(ctx context.Context, c *cluster.Client) ([]string, error) { return c.Namespaces(ctx) })...)
	slices.Sort(names)
	return slices.Compact(names)
}

// unmanagedNames are the Secrets of the namespace that are not ours yet.
func unmanagedNames(a *app, cmd *cobra.Command) []string {
	namespace, _, err := a.connect.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil
	}
	return a.ask(cmd.Context(), func(ctx context.Context, c *cluster.Client) ([]string, error) { return c.Unlabelled(ctx, namespace) })
}
