// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"

	"github.com/spf13/pflag"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
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

	generation int                    // reveal alone: this one instead of the current one
	asked      func(token.Token) bool // reveal alone: these and no others
}

func (o *recallOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.env, "env", action.DefaultEnv, "the .env file; it may be missing")
	f.StringVar(&o.ledger, "ledger", "", "the ledger (default "+action.DefaultLedger+" beside the .env)")
	f.StringVar(&o.keyFile, "key-file", "", "a file with KEY and KEY_PREVIOUS, instead of those in the .env")
	f.StringVar(&o.from, "from", fromLedger, "ledger (no cluster is needed) or cluster")
	f.StringVar(&o.fromCluster, "from-cluster", "", "the cluster, as the ledger names it, whose values are meant")
	f.StringSliceVar(&o.namespaces, "namespaces", nil, "several namespaces, comma-separated, instead of -n")
	f.BoolVar(&o.ignoreName, "ignore-cluster-name", false, "do not let CLUSTER_NAME of the .env choose or check the target")
}

func (o *recallOptions) complete() {
	o.workOptions.complete()
	o.parallel = defaultParallel
}

func (o *recallOptions) validate(namespace string) error {
	switch {
	case o.from != fromLedger && o.from != fromCluster:
		return withHint(errors.New("--from: neither the ledger nor the cluster"), "--from ledger, or --from cluster")
	case o.from == fromCluster && o.fromCluster != "":
		return withHint(errors.New("--from-cluster chooses among the ledger's clusters"), "--context chooses the cluster of --from cluster")
	}
	return o.workOptions.validate(namespace)
}

// recall gets back what was asked for.
func (a *app) recall(ctx context.Context, o recallOptions) ([]action.Value, *action.Recalled, error) {
	return o.asRecall().Run(ctx, a.request(o.workOptions))
}

func (o *recallOptions) asRecall() action.Recall {
	return action.Recall{FromCluster: o.fromCluster, Live: o.from == fromCluster, Generation: o.generation, Asked: o.asked}
}
