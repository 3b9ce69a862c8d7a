// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
)

// What the user may not look at is told from what could not be looked at for another reason.
func TestUnlooked(t *testing.T) {
	pods, jobs := cluster.Kind{Version: "v1", Resource: "pods"}, cluster.Kind{Group: "batch", Version: "v1", Resource: "jobs"}
	down := cluster.Kind{Group: "example.com", Version: "v1", Err: errors.New("it is down")}
	for want, kinds := range map[string][]cluster.Kind{
		"":                                     nil,
		"not allowed to list pods, jobs.batch": {pods, jobs},
		"cannot look at all of example.com/v1: it is down":                           {down},
		"not allowed to list pods; cannot look at all of example.com/v1: it is down": {down, pods},
	} {
		if got := unlooked(kinds); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
}

// A 429 that does not say how long to wait is not waited for.
func TestThrottledNote(t *testing.T) {
	notes := 0
	s := &Session{Request: Request{Tell: func(e Event) {
		if e.Kind == Note {
			notes++
		}
	}}}
	trace := s.trace()
	trace(cluster.Exchange{Status: 429})
	if notes != 0 {
		t.Error("it says that it waits")
	}
	for range 2 {
		trace(cluster.Exchange{Status: 429, RetryAfter: "1"})
	}
	if notes != 1 {
		t.Errorf("it says %d times that it waits", notes)
	}
}
