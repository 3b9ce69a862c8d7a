// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
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

// recorded gives names that the ledger has.
func recorded(a *app, cmd *cobra.Command, of func(action.RecordedNames) []string) []string {
	env, _ := cmd.Flags().GetString("env")
	path, _ := cmd.Flags().GetString("ledger")
	if path == "" {
		path = filepath.Join(filepath.Dir(env), action.DefaultLedger)
	}
	return of(action.NamesIn(a.machine.Files, path))
}

// settings gives the settings of the .env, as far as they can be read.
func settings(cmd *cobra.Command) action.Settings {
	env, err := cmd.Flags().GetString("env")
	if err != nil {
		return action.Settings{}
	}
	s, _ := action.SettingsIn(env)
	return s
}

func recordedClusters(a *app, cmd *cobra.Command) []string {
	return recorded(a, cmd, func(r action.RecordedNames) []string { return r.Clusters })
}

// recordedNames are those of entries, and of their Secrets.
func recordedNames(a *app, cmd *cobra.Command) []string {
	return recorded(a, cmd, func(r action.RecordedNames) []string { return slices.Concat(r.Entries, r.Bases) })
}

// ask asks the cluster for names, and gives up in time: a credential plugin does
// so by itself at no context's end.
func (a *app) ask(ctx context.Context, question func(context.Context, *rest.Config) []string) (names []string) {
	config, err := a.connect.ToRawKubeConfigLoader().ClientConfig()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, suggestLimit)
	defer cancel()
	answer := make(chan []string, 1)
	ask := redact.Guard(func() []string { return question(ctx, config) })
	go func() { answer <- ask() }()
	select {
	case names = <-answer:
	case <-ctx.Done():
	}
	return names
}

// namespaceNames are those of the ledger, and those of the cluster if it answers
// soon and tells.
func namespaceNames(a *app, cmd *cobra.Command) []string {
	names := recorded(a, cmd, func(r action.RecordedNames) []string { return r.Namespaces })
	names = append(names, settings(cmd).Namespaces...)
	names = append(names, a.ask(cmd.Context(), action.NamespacesOf)...)
	slices.Sort(names)
	return slices.Compact(names)
}

// unmanagedNames are the Secrets of the namespace that are not ours yet.
func unmanagedNames(a *app, cmd *cobra.Command) []string {
	namespace, _, err := a.connect.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil
	}
	if set := settings(cmd).Namespaces; *a.connect.Namespace == "" && len(set) == 1 {
		namespace = set[0]
	}
	return a.ask(cmd.Context(), func(ctx context.Context, config *rest.Config) []string {
		return action.UnmanagedIn(ctx, config, namespace)
	})
}
