// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
)

// An adoption that client-go sent twice meets its own change, and is done.
func TestAdoptTwice(t *testing.T) {
	for name, rule := range map[string]faultproxy.Rule{
		"answered":            nil,
		"sent again":          faultproxy.First(1, faultproxy.Writes(faultproxy.StatusAfter(503, faultproxy.RetryAfter(0)))),
		"a conflict that was": faultproxy.First(1, faultproxy.Writes(faultproxy.StatusAfter(409, nil))),
		"the reply was lost":  faultproxy.First(1, faultproxy.Writes(faultproxy.DropReply())),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.ours(t, bare, "secret-a")
			row, seen := l.row("secret-a"), l.seen(t, "secret-a")
			if rule != nil {
				l.proxy.Reset(rule)
			}
			now, err := l.client.Adopt(t.Context(), seen, row, false)
			if err != nil || !now.Managed || !now.Carries(row) || now.UID != seen.UID {
				t.Errorf("%+v, %v", now, err)
			}
		})
	}
}

// What another process changed since it was looked at is left as it is.
func TestAdoptChanged(t *testing.T) {
	l := newLab(t)
	l.ours(t, bare, "secret-a")
	row, seen := l.row("secret-a"), l.seen(t, "secret-a")
	touch(t, l)
	if now, err := l.client.Adopt(t.Context(), seen, row, false); err == nil || now.Name != "" || l.seen(t, "secret-a").Managed {
		t.Errorf("%+v, %v", now, err)
	}
}

// bare takes all from a Secret that only this tool writes.
func bare(s *corev1.Secret) { s.Labels, s.Annotations, s.Immutable = nil, map[string]string{}, nil }
