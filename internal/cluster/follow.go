// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// Follow tells of each state of the workloads of one kind in a namespace.
func (c *Client) Follow(ctx context.Context, kind workload.Kind, namespace string, seen func(w workload.Workload, gone bool)) error {
	for {
		list, _, err := c.workloads(ctx, kind, namespace)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			for _, w := range list {
				seen(w, false)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
