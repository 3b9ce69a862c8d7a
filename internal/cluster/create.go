// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// Fate says what is known of a create.
type Fate int

// The fates of a create.
const (
	NotSent  Fate = iota // never left this process
	Landed               // the Secret is there, with exactly the row's bytes
	Taken                // the name is there with other bytes
	Refused              // the API server said no, and the Secret is not there
	Doubtful             // it may still land, or it did and is being deleted, or was changed on its way in
)

// Result is what became of one row. Object is set with Landed, Taken and what is
// being deleted or was changed, Err with all but Landed.
type Result struct {
	Fate   Fate
	Object manifest.Object
	Err    error
}

// requestLimit bounds one create with all of client-go's own retries, so that a
// stalled server (it answers 504 after 34 s) cannot hold a run for ever.
const requestLimit = 90 * time.Second

// Create sends one row and finds out what became of it. An error of the create
// proves nothing (client-go sends a POST again by itself after a 503, at a full
// quota our own name answers 403, a reply can be lost), so after each one the
// Secret is fetched and its bytes are compared. A create that was sent is waited
// for even when ctx ends.
func (c *Client) Create(ctx context.Context, row ledger.Row, dryRun bool) Result {
	return c.CreateSecret(ctx, manifest.Secret(row), dryRun)
}

// CreateSecret is Create for any Secret; it has landed when its data is there.
func (c *Client) CreateSecret(ctx context.Context, sent *corev1.Secret, dryRun bool) Result {
	if ctx.Err() != nil {
		return Result{Fate: NotSent, Err: context.Cause(ctx)}
	}
	know(sent)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
	defer cancel()
	var doubt atomic.Bool
	ctx = context.WithValue(ctx, doubtful{}, &doubt)
	opts := metav1.CreateOptions{FieldManager: manifest.FieldManager}
	if dryRun {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	s, err := c.core.Secrets(sent.Namespace).Create(ctx, sent, opts)
	if err == nil {
		return stored(sent, s, dryRun)
	}
	if dryRun && !apierrors.IsAlreadyExists(err) {
		return Result{Fate: Refused, Err: explain(err)}
	}
	return c.afterError(ctx, sent, err, definite(err) && !doubt.Load())
}

// errWouldAlter is what a dry run shows, errAltered that such a Secret is there now.
var (
	errWouldAlter = altering("the API server would store something else: a webhook or a policy in the cluster changes Secrets")
	errAltered    = altering("the API server took the Secret and stored something else: a webhook or a policy in the cluster changes Secrets")
)

func altering(message string) *Error {
	return &Error{Message: message, Way: "kubectl get mutatingwebhookconfigurations shows the webhooks, and kubectl get mutatingadmissionpolicies the policies; once none changes Secrets, delete what they changed, if anything, and run this again"}
}

// stored judges the reply to our own create. Of the metadata only that is compared without which
// a token is not proven ours.
func stored(sent, live *corev1.Secret, dryRun bool) Result {
	r, is, want := judge(sent, live), manifest.FromSecret(live), manifest.FromSecret(sent)
	whole := r.Fate == Landed && is.Binding == want.Binding && is.KeyID == want.KeyID && is.Immutable == want.Immutable
	switch {
	case whole:
		return r
	case dryRun:
		return Result{Fate: Refused, Err: errWouldAlter}
	default:
		return Result{Fate: Doubtful, Object: is, Err: errAltered}
	}
}

// errOtherBytes says that a Secret does not hold what was sent.
var errOtherBytes = errors.New("the Secret of that name holds other bytes")

// judge does not call Refused what is being deleted: it was there, so its name
// must never come again with other bytes.
func judge(sent, live *corev1.Secret) Result {
	o := manifest.FromSecret(live)
	switch {
	case extended(sent, live):
		return Result{Fate: Doubtful, Object: o, Err: errAltered}
	case !maps.EqualFunc(sent.Data, live.Data, bytes.Equal):
		return Result{Fate: Taken, Object: o, Err: errOtherBytes}
	case o.Deleting:
		return Result{Fate: Doubtful, Object: o, Err: errors.New("the Secret is being deleted")}
	default:
		return Result{Fate: Landed, Object: o}
	}
}

// extended says that a Secret has all that was sent, and more. No two tokens are the same, so it
// is ours, and something in the cluster added the rest. Two keyrings can have one key.
func extended(sent, live *corev1.Secret) bool {
	differs := func(key string) bool { return !bytes.Equal(sent.Data[key], live.Data[key]) }
	return manifest.FromSecret(sent).Kind != manifest.KindKeyring && len(live.Data) > len(sent.Data) &&
		!slices.ContainsFunc(slices.Collect(maps.Keys(sent.Data)), differs)
}

// afterError looks what became of a create. refused says that the server has
// answered every attempt, so that what is not there will not come.
func (c *Client) afterError(ctx context.Context, sent *corev1.Secret, cause error, refused bool) Result {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
	defer cancel()
	s, err := c.core.Secrets(sent.Namespace).Get(ctx, sent.Name, metav1.GetOptions{})
	switch {
	case err == nil:
		return judge(sent, s)
	case absent(err) && refused:
		return Result{Fate: Refused, Err: explain(cause)}
	default:
		return Result{Fate: Doubtful, Err: explain(cause)}
	}
}

// definite says that the server answered the request itself: what was not done
// by then is never done. A 408, a 429 and every 5xx promise nothing.
func definite(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	code := status.Status().Code
	return code >= 400 && code < 500 && code != 408 && code != 429
}

// CreateAll sends rows, at most parallel at a time, in their order, and tells
// done of each result, one call at a time. It stops sending when ctx ends, and
// to a namespace once that refuses everything (it is missing or terminating, or
// the user may not create Secrets there); what was not sent is told as NotSent.
func (c *Client) CreateAll(ctx context.Context, rows []ledger.Row, parallel int, dryRun bool, done func(i int, r Result)) {
	var (
		group  errgroup.Group
		mutex  sync.Mutex
		closed = map[string]error{} // by namespace
	)
	group.SetLimit(parallel)
	for i, row := range rows {
		group.Go(redact.Guard(func() error {
			mutex.Lock()
			r := Result{Fate: NotSent, Err: closed[row.Namespace]}
			mutex.Unlock()
			if r.Err == nil {
				r = c.Create(ctx, row, dryRun)
			}
			mutex.Lock()
			defer mutex.Unlock()
			if r.Fate == Refused && RefusesAll(r.Err) || errors.Is(r.Err, errAltered) {
				closed[row.Namespace] = r.Err
			}
			done(i, r)
			return nil
		}))
	}
	_ = group.Wait() // they return no error
}
