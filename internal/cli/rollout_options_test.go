// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
)

// parsed gives what the flags of a verb become, or nil if they are refused.
func parsed[T any](t *testing.T, args string, verb func(*app, func(context.Context, *T) error) *cobra.Command) (got *T, err error) {
	t.Helper()
	a, _, _ := newApp()
	root := a.command()
	made := verb(a, func(_ context.Context, o *T) error { got = o; return nil })
	for _, cmd := range root.Commands() {
		if cmd.Name() == made.Name() {
			root.RemoveCommand(cmd)
		}
	}
	root.AddCommand(made)
	root.SetArgs(append([]string{made.Name()}, strings.Fields(args)...))
	err = root.ExecuteContext(t.Context())
	return got, err
}

// wantOptions compares the whole of what the flags become, by how it differs from
// what they become without any.
func wantOptions[T any](t *testing.T, verb func(*app, func(context.Context, *T) error) *cobra.Command, none T, cases map[string]func(*T)) {
	t.Helper()
	emptyFolder(t)
	for args, change := range cases {
		want := none
		change(&want)
		got, err := parsed(t, args, verb)
		if err != nil || got == nil {
			t.Errorf("%s: %v", args, err)
		} else if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s:\n%+v, want\n%+v", args, *got, want)
		}
	}
}

// wantRefused compares the errors of flags that do not go.
func wantRefused[T any](t *testing.T, verb func(*app, func(context.Context, *T) error) *cobra.Command, cases map[string]string) {
	t.Helper()
	emptyFolder(t)
	for args, want := range cases {
		if got, err := parsed(t, args, verb); err == nil || err.Error() != want || got != nil {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

func noWorkOptions() (o workOptions) {
	o.env, o.ledger = action.DefaultEnv, action.DefaultLedger
	o.parallel = defaultParallel
	return o
}

func noRolloutOptions() rolloutOptions { return rolloutOptions{maxProgressing: 5} }

func TestRolloutOptions(t *testing.T) {
	wantOptions(t, newRollout, rolloutVerb{workOptions: noWorkOptions(), rolloutOptions: noRolloutOptions(), only: []string{}}, map[string]func(*rolloutVerb){
		"":                               func(*rolloutVerb) {},
		"--env x/e":                      func(o *rolloutVerb) { o.env, o.ledger = "x/e", "x/fernet-ledger.csv" },
		"--key-file k --ledger l":        func(o *rolloutVerb) { o.keyFile, o.ledger = "k", "l" },
		"--namespaces a,b":               func(o *rolloutVerb) { o.namespaces = []string{"a", "b"} },
		"--match a*":                     func(o *rolloutVerb) { o.match = []string{"a*"} },
		"--parallel 2 --dry-run":         func(o *rolloutVerb) { o.parallel, o.dryRun = 2, dryRunClient },
		"--dry-run=server":               func(o *rolloutVerb) { o.dryRun = dryRunServer },
		"--workload-timeout 90s":         func(o *rolloutVerb) { o.workloadTimeout = 90 * time.Second },
		"--apps-have-key k0123abcd":      func(o *rolloutVerb) { o.appsHaveKey = "k0123abcd" },
		"deploy/web sts/db":              func(o *rolloutVerb) { o.only = []string{"deployment/web", "statefulset/db"} },
		"--skip deployments.apps/web":    func(o *rolloutVerb) { o.skip = []string{"deployment/web"} },
		"-l app=web --max-progressing 9": func(o *rolloutVerb) { o.selector, o.maxProgressing = "app=web", 9 },
		"--no-wait --fail-fast":          func(o *rolloutVerb) { o.noWait, o.failFast = true, true },
		"--drop-previous":                func(o *rolloutVerb) { o.dropPrevious = true },
		"--force --update --yes":         func(o *rolloutVerb) { o.force, o.values, o.yes = true, true, true },
		"-n a --context c --as somebody": func(*rolloutVerb) {}, // the connection's
	})
	const notAnID = "--apps-have-key takes the id of a key, such as kab12cd34, never a key"
	wantRefused(t, newRollout, map[string]string{
		"deployment":                 "a workload is named as TYPE/NAME",
		"service/web":                "a workload is named as TYPE/NAME",
		"--skip web":                 "a workload is named as TYPE/NAME",
		"--selector =":               "--selector: not a selector of labels, such as app=web",
		"--max-progressing 0":        "--max-progressing must be 1 or more",
		"--workload-timeout -1s":     "--workload-timeout must be longer than nothing",
		"--apps-have-key K0123ABCD":  notAnID,
		"--apps-have-key k0123abc":   notAnID,
		"--apps-have-key " + canary:  notAnID,
		"--parallel 0":               "--parallel 0: at least one request must be under way",
		"-n a --namespaces b":        "-n and --namespaces exclude each other",
		"--ledger .env --env ./.env": "--env and --ledger are the same file: ./.env",
	})
}

func TestRotateOptions(t *testing.T) {
	none := rotateOptions{workOptions: noWorkOptions(), rolloutOptions: noRolloutOptions()}
	wantOptions(t, newRotate, none, map[string]func(*rotateOptions){
		"":                                  func(*rotateOptions) {},
		"--env x/e --yes":                   func(o *rotateOptions) { o.env, o.ledger, o.yes = "x/e", "x/fernet-ledger.csv", true },
		"--prepare --key-secret fernet-key": func(o *rotateOptions) { o.prepare, o.keySecret = true, "fernet-key" },
		"--abort":                           func(o *rotateOptions) { o.abort = true },
		"--new-key":                         func(o *rotateOptions) { o.newKey = true },
		"--rollout --apps-have-key k0123abcd --workload-timeout 1m --force": func(o *rotateOptions) {
			o.rollout, o.appsHaveKey, o.workloadTimeout, o.force = true, "k0123abcd", time.Minute, true
		},
		"--namespaces a --namespaces b --dry-run=server": func(o *rotateOptions) { o.namespaces, o.dryRun = []string{"a", "b"}, dryRunServer },
	})
	const (
		onlyStages = "--prepare only stages a key: leave out --abort, --new-key and --rollout"
		noOther    = "--abort goes with no other step of a rotation"
		noName     = `--key-secret: not the name of a Secret: up to 241 lower-case letters, digits, "-" and ".", and no ending like -g2`
	)
	wantRefused(t, newRotate, map[string]string{
		"--prepare --abort":            onlyStages,
		"--prepare --new-key":          onlyStages,
		"--prepare --rollout":          onlyStages,
		"--abort --new-key":            noOther,
		"--abort --rollout":            noOther,
		"--abort --key-secret a":       noOther,
		"--key-secret a-g2":            noName,
		"--key-secret A":               noName,
		"--key-secret a_b":             noName,
		"--key-secret " + testKey[:40]: noName,
		"--workload-timeout -1s":       "--workload-timeout must be longer than nothing",
		"--parallel 0":                 "--parallel 0: at least one request must be under way",
	})
}

func TestRetireOptions(t *testing.T) {
	wantOptions(t, newRetire, retireOptions{workOptions: noWorkOptions(), names: []string{}}, map[string]func(*retireOptions){
		"":                                func(*retireOptions) {},
		"SECRET_A secret-b":               func(o *retireOptions) { o.names = []string{"SECRET_A", "secret-b"} },
		"--ignore history --strict --yes": func(o *retireOptions) { o.ignore, o.strict, o.yes = []string{"history"}, true, true },
		"--forget-cluster a,b --forget-cluster c": func(o *retireOptions) { o.forget = []string{"a,b", "c"} },
		"--env x/e --dry-run":                     func(o *retireOptions) { o.env, o.ledger, o.dryRun = "x/e", "x/fernet-ledger.csv", dryRunClient },
		"--namespaces a,b --parallel 3":           func(o *retireOptions) { o.namespaces, o.parallel = []string{"a", "b"}, 3 },
	})
	wantRefused(t, newRetire, map[string]string{
		"--parallel 0":        "--parallel 0: at least one request must be under way",
		"-n a --namespaces b": "-n and --namespaces exclude each other",
		"--match [":           `--match: "[" is no valid pattern`,
	})
}

func TestStatusOptions(t *testing.T) {
	const day = 24 * time.Hour
	wantOptions(t, newStatus, statusOptions{workOptions: noWorkOptions()}, map[string]func(*statusOptions){
		"":                           func(*statusOptions) {},
		"-A":                         func(o *statusOptions) { o.allNamespaces = true },
		"--namespaces a,b -o wide":   func(o *statusOptions) { o.namespaces, o.output = []string{"a", "b"}, "wide" },
		"--max-age 90d":              func(o *statusOptions) { o.maxAge = age(90 * day) },
		"--max-age 36h":              func(o *statusOptions) { o.maxAge = age(36 * time.Hour) },
		"--max-value-age 2w -o yaml": func(o *statusOptions) { o.maxValueAge, o.output = age(14*day), "yaml" },
		"--env e --match x --parallel 1 --ignore-cluster-name": func(o *statusOptions) {
			o.env, o.match, o.parallel, o.ignoreName = "e", []string{"x"}, 1, true
		},
	})
	const length, exclude = "a length of time, such as 90d, 12w or 36h", "-A and a choice of namespaces exclude each other"
	wantRefused(t, newStatus, map[string]string{
		"-A -n a":             exclude,
		"-A --namespaces a":   exclude,
		"-o jsonpath={.kind}": "-o: no such output format",
		"--parallel 0":        "--parallel 0: at least one request must be under way",
	})
	for _, text := range []string{"0d", "-1d", "d", "1.5d", "0s", "-3h", "90", "1x"} {
		if err := new(age).Set(text); err == nil || err.Error() != length {
			t.Errorf("--max-age %s: %v", text, err)
		}
	}
}
