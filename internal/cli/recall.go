// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
)

const (
	fromLedger  = "ledger"
	fromCluster = "cluster"
)

// recallOptions are the flags of the verbs that get values back.
type recallOptions struct {
	workOptions
	from        string
	fromCluster string
}

func (o *recallOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.env, "env", defaultEnv, "the .env file; it may be missing")
	f.StringVar(&o.ledger, "ledger", "", "the ledger (default "+defaultLedger+" beside the .env)")
	f.StringVar(&o.keyFile, "key-file", "", "a file with KEY and KEY_PREVIOUS, instead of those in the .env")
	f.StringVar(&o.from, "from", fromLedger, "ledger (no cluster is needed) or cluster")
	f.StringVar(&o.fromCluster, "from-cluster", "", "the cluster, as the ledger names it, whose values are meant")
	f.StringSliceVar(&o.namespaces, "namespaces", nil, "several namespaces, comma-separated, instead of -n")
	f.BoolVar(&o.ignoreName, "ignore-cluster-name", false, "do not let CLUSTER_NAME of the .env choose or check the target")
}

func (o *recallOptions) validate(namespace string) error {
	o.parallel, o.match = defaultParallel, []string{defaultMatch}
	switch {
	case o.from != fromLedger && o.from != fromCluster:
		return withHint(errors.New("--from: neither the ledger nor the cluster"), "--from ledger, or --from cluster")
	case o.from == fromCluster && o.fromCluster != "":
		return withHint(errors.New("--from-cluster chooses among the ledger's clusters"), "--context chooses the cluster of --from cluster")
	}
	return o.workOptions.validate(namespace)
}

// loadKeys is load for the verbs that need keys and no entries: the .env may be
// missing if the keys are elsewhere.
func (a *app) loadKeys(o sourceOptions) (*source, error) {
	file, raw, err := envfile.ReadFile(o.env)
	if errors.Is(err, fs.ErrNotExist) {
		file, err = &envfile.File{Path: o.env}, nil
	}
	if err != nil {
		return nil, err
	}
	s := &source{options: o, file: file, raw: raw}
	return s, a.findKeys(s)
}

// value is one entry that was got back, and where it was.
type value struct {
	plan.Recalled
	entry envfile.Entry
}

func (v value) place() string {
	return fmt.Sprintf("namespace %q of cluster %q", v.Token.Namespace, v.Cluster)
}

// recall opens what the ledger or the cluster has.
func (a *app) recall(ctx context.Context, o recallOptions) ([]value, *source, error) {
	s, err := a.loadKeys(o.sourceOptions)
	if errors.Is(err, errKeyless) {
		err = withHint(err, "the key comes from %s, from --key-file or from FERNET_KEY", o.env)
	}
	if err != nil {
		return nil, nil, err
	}
	var found []plan.Recalled
	if o.from == fromCluster {
		found, err = a.recallLive(ctx, o, s)
	} else {
		found, err = a.recallRecorded(o)
	}
	if err != nil {
		return nil, nil, err
	}
	door := seal.New(s.ring, nil)
	var values []value
	for _, r := range found {
		plain, err := door.Open(r.Token)
		if err != nil {
			return nil, nil, withHint(fmt.Errorf("%s in namespace %q of cluster %q: %w", r.Token.EnvKey, r.Token.Namespace, r.Cluster, err),
				"this keyring has %s", strings.Join(s.ring.IDs(), ", "))
		}
		values = append(values, value{r, envfile.Entry{Name: r.Token.EnvKey, Value: plain}})
	}
	return values, s, nil
}

func (a *app) recallRecorded(o recallOptions) ([]plan.Recalled, error) {
	rows, err := ledger.Read(a.files, o.ledger)
	if err != nil {
		return nil, err
	}
	namespaces := o.namespaces
	if *a.connect.Namespace != "" {
		namespaces = []string{*a.connect.Namespace}
	}
	found := slices.DeleteFunc(plan.Recall(rows), func(r plan.Recalled) bool {
		return o.fromCluster != "" && r.Cluster != o.fromCluster || len(namespaces) > 0 && !slices.Contains(namespaces, r.Token.Namespace)
	})
	if len(found) == 0 {
		return nil, withHint(fmt.Errorf("%s: it records no Secret that was created there and not deleted", o.ledger), "check --ledger, -n and --from-cluster; or --from cluster")
	}
	return found, nil
}

func (a *app) recallLive(ctx context.Context, o recallOptions, s *source) ([]plan.Recalled, error) {
	w, err := a.aimAt(o.workOptions, s, false)
	if err != nil {
		return nil, err
	}
	if _, err := w.open(false); err != nil {
		return nil, err
	}
	w.spread()
	a.console.begin(w.target.line())
	if err := w.connectTo(); err != nil {
		return nil, err
	}
	views, err := w.lookAll(ctx)
	if err != nil {
		return nil, err
	}
	var found []plan.Recalled
	for _, view := range views {
		found = append(found, plan.Live(view, plan.Mine(view.Records, nil), w.door.Judge, s.ring)...)
	}
	if len(found) == 0 {
		return nil, withHint(fmt.Errorf("no Secret that the ledger knows is in %s", w.places()), "kubectl fernet status%s", envFlag(o.env))
	}
	return found, nil
}

// agreed gives one value for each name, and refuses where places differ: nobody
// but the user can say which is meant.
func agreed(values []value) ([]value, error) {
	first := map[string]value{}
	var chosen []value
	var differing []string
	for _, v := range values {
		was, seen := first[v.entry.Name]
		switch {
		case !seen:
			first[v.entry.Name] = v
			chosen = append(chosen, v)
		case !was.entry.Value.Equal(v.entry.Value):
			differing = append(differing, fmt.Sprintf("%s in %s and in %s", v.entry.Name, was.place(), v.place()))
		}
	}
	if len(differing) > 0 {
		return nil, withHint(fmt.Errorf("several places have several values: %s", few(differing)), "choose one: -n NAMESPACE, --from-cluster NAME")
	}
	return chosen, nil
}
