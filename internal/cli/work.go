// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

const defaultParallel = 32

// workOptions are the flags of every verb that brings an .env, a ledger and a
// cluster together.
type workOptions struct {
	sourceOptions
	namespaces  []string
	contexts    []string
	more        bool // of --contexts, others come after this one
	ignoreName  bool
	sameCluster bool // push only: what was recorded may be gone
	ignoreKeys  []string
	parallel    int
	dryRun      dryRun
	output      string   // -o
	only        []string // NAMEs of diff, status and verify
	bundle      string   // push and diff: overrides the setting
	keySecret   string   // push, rotate and restore
}

func (o *workOptions) addFlags(f *pflag.FlagSet) {
	o.sourceOptions.addFlags(f)
	f.StringSliceVar(&o.namespaces, "namespaces", nil, "several namespaces, comma-separated, instead of -n")
	f.BoolVar(&o.ignoreName, "ignore-cluster-name", false, "do not let CLUSTER_NAME of the .env choose or check the target")
	f.StringArrayVar(&o.ignoreKeys, "ignore-key", nil, "the id of a key whose ledger rows hold nothing back, repeatable; Secrets under it still do")
	f.IntVar(&o.parallel, "parallel", defaultParallel, "requests under way at once")
	f.Var(&o.dryRun, "dry-run", "the `mode`: none, client (nothing is sent) or server")
	f.Lookup("dry-run").NoOptDefVal = string(dryRunClient)
}

// bundleFlag and keySecretFlag are for the verbs that write or compare these Secrets.
func (o *workOptions) bundleFlag(f *pflag.FlagSet) {
	f.StringVar(&o.bundle, "bundle", "", "one Secret of this name for all entries (default FERNET_BUNDLE)")
}

func (o *workOptions) keySecretFlag(f *pflag.FlagSet, usage string) {
	f.StringVar(&o.keySecret, "key-secret", "", usage+" (default FERNET_KEY_SECRET)")
}

func (o *workOptions) validate(namespace string) error {
	switch {
	case o.namespaces != nil && len(o.namespaces) == 0:
		return errors.New("--namespaces names none")
	case namespace != "" && len(o.namespaces) > 0:
		return errors.New("-n and --namespaces exclude each other")
	case o.parallel < 1:
		return fmt.Errorf("--parallel %d: at least one request must be under way", o.parallel)
	}
	if slices.ContainsFunc(o.ignoreKeys, func(id string) bool { return !keyID.MatchString(id) }) {
		return errors.New("--ignore-key takes the id of a key, such as kab12cd34, never a key")
	}
	if err := checkBase("--bundle", o.bundle); err != nil {
		return err
	}
	if err := checkBase("--key-secret", o.keySecret); err != nil {
		return err
	}
	if name := duplicate(o.namespaces); name != "" {
		return fmt.Errorf("--namespaces names %q twice", name)
	}
	return o.sourceOptions.validate()
}

// checkBase refuses what is no base name of Secrets; none is well.
func checkBase(flag, name string) error {
	if name == "" {
		return nil
	}
	if err := action.CheckBaseName(name); err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

func duplicate(names []string) string {
	sorted := slices.Sorted(slices.Values(names))
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			return sorted[i]
		}
	}
	return ""
}

// request is what the flags ask of a use case.
func (a *app) request(o workOptions) action.Request {
	mode := map[dryRun]action.Mode{dryRunClient: action.Client, dryRunServer: action.Server}[o.dryRun]
	return action.Request{
		Machine: a.machine, Paths: o.paths(), Match: o.match, Bundle: o.bundle, KeySecret: o.keySecret, AllowEmpty: o.allowEmpty,
		Target: a.where(o), SeveralClusters: len(o.contexts) > 0, SameCluster: o.sameCluster, IgnoreKeys: o.ignoreKeys,
		Parallel: o.parallel, Mode: mode, Command: a.typed, Tell: func(e action.Event) { a.tell(e, &o) },
	}
}

// tell shows what a use case tells.
func (a *app) tell(e action.Event, o *workOptions) {
	switch e.Kind {
	case action.Aimed:
		a.console.begin(e.Text)
	case action.Note:
		a.console.note("%s", e.Text)
	case action.Warning:
		a.console.warn("%s", e.Text)
	case action.Hint:
		a.console.hint(hint.Text(e.Text))
	case action.Did:
		a.did(o, e.Item, e.Text)
	case action.Line:
		a.console.say(e.Text)
	case action.Asked:
		if a.verbose > 0 {
			a.console.say(redact.Clean(e.Text)) // a path can begin as the kubeconfig says
		} else {
			a.console.working()
		}
	case action.Progress:
		a.console.show(e.Text, e.Done, e.Total)
	}
}

// open opens a session for a verb that is run by the flags.
func (a *app) open(ctx context.Context, o workOptions, needs action.Needs) (s *action.Session, err error) {
	a.items = nil
	a.session, err = action.Open(ctx, a.request(o), needs)
	return a.session, err
}

// inPart gives the error of a verb that did all else, and could not look at something.
func (a *app) inPart(err error, verb string) error {
	if a.session == nil || len(a.session.Unseen) == 0 || err != nil && !errors.Is(err, errFindings) {
		return err
	}
	a.console.hint(action.RoleHint(cmp.Or(a.session.Unseen[0].Role, verb)))
	return errEntries
}
