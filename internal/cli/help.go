// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// helpWidth is how wide a help is: that of a terminal that nobody has made wider.
const helpWidth = 80

// groups are the parts of the list of commands, in the order of a newcomer's first weeks.
var groups = []struct {
	title string
	verbs []string
}{
	{"Start", []string{"init", "push", "wire", "status"}},
	{"Look", []string{"diff", "verify", "lint", "reveal", "exec-env"}},
	{"Change and rotate", []string{"rotate", "rollout", "retire"}},
	{"Recover and move", []string{"pull", "restore", "adopt"}},
	{others, []string{"keygen", "rbac", "policy", "options", "completion", "version", "help"}},
}

const others = "Other"

// shared are the flags that mean the same in all commands that have them. "options" shows
// them, and the help of a command does not repeat them.
var shared = []string{"env", "ledger", "key-file", "namespaces", "contexts", "match", "allow-empty", "ignore-cluster-name", "ignore-key", "parallel"}

// detail marks flags that only "help COMMAND" shows.
const detail = "kubectl-fernet/detail"

// markDetail hides flags from the short help.
func markDetail(f *pflag.FlagSet, names ...string) {
	for _, name := range names {
		_ = f.SetAnnotation(name, detail, nil) // the test of the help knows each flag
	}
}

// setHelp gives the tree its two helps: --help, which fits on a screen, and "help COMMAND",
// which says all.
func (a *app) setHelp(root *cobra.Command) {
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { a.help(cmd, false) })
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		a.help(cmd, false)
		return nil
	})
	root.SetHelpCommand(&cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Say all about a command: states, exit codes, every flag",
		Long: `Say all about a command: what its words mean, its exit codes, every flag.
"kubectl fernet COMMAND --help" is the short form.`,
		Example: `  # what the words of push mean
  kubectl fernet help push`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (verbs []string, _ cobra.ShellCompDirective) {
			if len(args) == 0 {
				for _, verb := range cmd.Root().Commands() {
					if verb.IsAvailableCommand() {
						verbs = append(verbs, verb.Name())
					}
				}
			}
			return verbs, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return withHint(errors.New("help is about one command"), "kubectl fernet help COMMAND")
			}
			verb, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return noArguments(cmd.Root(), args)
			}
			verb.InitDefaultHelpFlag()
			a.help(verb, true)
			return nil
		},
	})
	root.AddCommand(&cobra.Command{
		Use:   "options",
		Short: "List the flags that all commands share",
		Long:  "List the flags that all commands share: those of the .env and those of kubectl.",
		Example: `  # what --ledger, --context and the others mean
  kubectl fernet options`,
		Args: noArguments,
		Run:  func(cmd *cobra.Command, _ []string) { a.options(cmd.Root()) },
	})
}

// help prints the help of a command, short or whole.
func (a *app) help(cmd *cobra.Command, whole bool) {
	out := a.Out
	if !cmd.HasParent() {
		rootHelp(out, cmd)
		return
	}
	text := cmd.Long
	if !whole {
		text, _, _ = strings.Cut(text, "\n\n")
	}
	fmt.Fprintf(out, "%s\n\n", text)
	if cmd.Example != "" {
		fmt.Fprintf(out, "Examples:\n%s\n\n", cmd.Example)
	}
	fmt.Fprintf(out, "Usage:\n  %s\n", cmd.UseLine())
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		_, more := f.Annotations[detail]
		if !f.Hidden && f.Name != "help" && (whole || !more && !slices.Contains(shared, f.Name)) {
			own.AddFlag(f)
		}
	})
	if own.HasFlags() {
		fmt.Fprintf(out, "\nFlags:\n%s", table(own))
	}
	path := cmd.Root().CommandPath()
	fmt.Fprintf(out, "\nFlags of all commands: %s options\n", path)
	if !whole {
		fmt.Fprintf(out, "More about this one:   %s help %s\n", path, cmd.Name())
	}
}

// usageColumn is where the usages of flags begin.
const usageColumn = 30

// table lists flags with their usages, as kubectl does in a narrower form.
func table(flags *pflag.FlagSet) string {
	var text strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		left := "      --" + f.Name
		if f.Shorthand != "" {
			left = "  -" + f.Shorthand + ", --" + f.Name
		}
		kind, usage := pflag.UnquoteUsage(f)
		if kind != "" {
			left += " " + strings.TrimSuffix(kind, "Array")
		}
		if !slices.Contains([]string{"", "false", "0", "0s", "[]", "none"}, f.DefValue) {
			usage += " (default " + f.DefValue + ")"
		}
		lines := wrapped(usage, helpWidth-usageColumn)
		if len(left)+1 >= usageColumn {
			fmt.Fprintln(&text, left)
			left = ""
		}
		for _, line := range lines {
			fmt.Fprintf(&text, "%-*s%s\n", usageColumn, left, line)
			left = ""
		}
	})
	return text.String()
}

// wrapped breaks a text into lines.
func wrapped(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}

// rootHelp says what this is, and which commands there are.
func rootHelp(out io.Writer, root *cobra.Command) {
	fmt.Fprintf(out, "%s\n", root.Long)
	fmt.Fprintln(out)
	for _, group := range groups {
		title := group.title
		if title == others {
			fmt.Fprintf(out, "%-18s %s\n", title, strings.Join(group.verbs, ", "))
			continue
		}
		for _, name := range group.verbs {
			verb, _, err := root.Find([]string{name})
			if err != nil {
				panic("no such command: " + name)
			}
			fmt.Fprintf(out, "%-18s %-9s %s\n", title, name, verb.Short)
			title = ""
		}
	}
	fmt.Fprintf(out, "\n%s COMMAND --help shows its flags, with examples.\n", root.CommandPath())
}

// options prints the flags that all commands share.
func (a *app) options(root *cobra.Command) {
	out := a.Out
	ours := pflag.NewFlagSet("", pflag.ContinueOnError)
	ours.SortFlags = false
	for _, name := range shared {
		for _, verb := range root.Commands() {
			if f := verb.Flags().Lookup(name); f != nil && ours.Lookup(name) == nil && verb.Name() == "push" {
				ours.AddFlag(f)
			}
		}
	}
	fmt.Fprintf(out, "The .env, the ledger and where to write, on the commands that have use of them:\n%s\n", table(ours))
	fmt.Fprintf(out, "The cluster, as in kubectl:\n%s", table(root.PersistentFlags()))
}
