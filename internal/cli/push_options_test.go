// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
)

// TestPushOptions compares the whole of what the flags become.
func TestPushOptions(t *testing.T) {
	emptyFolder(t)
	for args, change := range map[string]func(*pushOptions){
		"":                                func(*pushOptions) {},
		"--yes":                           func(*pushOptions) {},
		"--env x/e":                       func(o *pushOptions) { o.env, o.ledger = "x/e", "x/fernet-ledger.csv" },
		"--env x/e --ledger l":            func(o *pushOptions) { o.env, o.ledger = "x/e", "l" },
		"--key-file k":                    func(o *pushOptions) { o.keyFile = "k" },
		"--match a,b --match c*":          func(o *pushOptions) { o.match = []string{"a,b", "c*"} },
		"--allow-empty":                   func(o *pushOptions) { o.allowEmpty = true },
		"--namespaces a,b --namespaces c": func(o *pushOptions) { o.namespaces = []string{"a", "b", "c"} },
		"--ignore-cluster-name":           func(o *pushOptions) { o.ignoreName = true },
		"--update":                        func(o *pushOptions) { o.update = true },
		"--parallel 7":                    func(o *pushOptions) { o.parallel = 7 },
		"--update --rollout --force":      func(o *pushOptions) { o.update, o.rollout, o.force = true, true, true },
		"--workload-timeout 1m --apps-have-key k0123abcd": func(o *pushOptions) { o.workloadTimeout, o.appsHaveKey = time.Minute, "k0123abcd" },
		"--dry-run":                           func(o *pushOptions) { o.dryRun = dryRunClient },
		"--dry-run=server":                    func(o *pushOptions) { o.dryRun = dryRunServer },
		"--dry-run=server --dry-run=none":     func(o *pushOptions) { o.dryRun = dryRunNone },
		"--record --dry-run=client -o=yaml":   func(o *pushOptions) { o.record, o.dryRun, *o.print.flags.OutputFormat = true, dryRunClient, "yaml" },
		"-n a --context c --as somebody -v 3": func(*pushOptions) {}, // the connection's
	} {
		want := pushOptions{print: newPrintOptions()}
		want.parallel, want.maxProgressing = defaultParallel, action.DefaultMaxProgressing
		want.env, want.ledger = action.DefaultEnv, action.DefaultLedger
		change(&want)
		var got *pushOptions
		a, _, errOut := newApp()
		root := a.command()
		for _, cmd := range root.Commands() {
			if cmd.Name() == "push" {
				root.RemoveCommand(cmd)
			}
		}
		root.AddCommand(newPush(a, func(_ context.Context, o *pushOptions) error { got = o; return nil }))
		root.SetArgs(append([]string{"push"}, strings.Fields(args)...))
		if err := root.ExecuteContext(t.Context()); err != nil || got == nil {
			t.Errorf("%s: %v\n%s", args, err, errOut)
			continue
		}
		if format := *got.print.flags.OutputFormat; format != *want.print.flags.OutputFormat {
			t.Errorf("%s: -o %q", args, format)
		}
		want.print = got.print
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s:\n%+v, want\n%+v", args, *got, want)
		}
	}
}
