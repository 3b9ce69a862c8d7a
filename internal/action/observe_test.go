// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/finding"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// openOn opens a session of the desk on a cluster, and gives the bound on its requests.
func (d *desk) openOn(c Cluster, needs Needs) (s *Session, limit int) {
	d.t.Helper()
	r := d.request
	r.Machine, r.Tell = On(d.files), func(e Event) { d.said = append(d.said, e) }
	r.Connect = func(_ *rest.Config, _ cluster.Trace, bound int) (Cluster, error) {
		limit = bound
		return c, nil
	}
	s, err := Open(d.t.Context(), r, needs)
	if err == nil {
		d.t.Cleanup(s.Close)
		err = s.dial()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return s, limit
}

// slow answers some namespaces later than others, and refuses some.
type slow struct {
	*memCluster
	mutex     sync.Mutex
	now, most int
	refuse    map[string]time.Duration
}

func (c *slow) Observe(ctx context.Context, namespace string, in manifest.Interest) (cluster.Sight, error) {
	c.count(1)
	defer c.count(-1)
	if after, refused := c.refuse[namespace]; refused {
		time.Sleep(after)
		return cluster.Sight{}, fmt.Errorf("namespace %s: %w", namespace, errFault)
	}
	time.Sleep(5 * time.Millisecond)
	return c.memCluster.Observe(ctx, namespace, in)
}

func (c *slow) count(n int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.now += n
	c.most = max(c.most, c.now)
}

// Many namespaces are looked at side by side, and what is told, and which error ends it, is
// that of one after the other.
func TestNamespacesAreLookedAtSideBySide(t *testing.T) {
	var namespaces []string
	for i := range 40 {
		namespaces = append(namespaces, fmt.Sprintf("n%02d", i))
	}
	for _, tc := range []struct {
		parallel, least, most, views int
		refuse                       map[string]time.Duration
	}{
		{parallel: 32, least: 2, most: sideBySide, views: 40},
		{parallel: 1, least: 1, most: 1, views: 40},
		{parallel: 32, least: 2, most: sideBySide, views: 5, refuse: map[string]time.Duration{"n05": 50 * time.Millisecond, "n07": 0, "n39": 0}},
	} {
		d := newDesk(t, threeEntries, namespaces...)
		d.request.Parallel = tc.parallel
		c := &slow{memCluster: d.cluster, refuse: tc.refuse}
		s, limit := d.openOn(c, Verify{}.Needs())
		var seen []string
		err := s.views(t.Context(), namespaces, s.mine, false, func(view plan.View) error {
			seen = append(seen, view.Namespace)
			return nil
		})
		if !slices.Equal(seen, namespaces[:tc.views]) || (err != nil) != (tc.refuse != nil) || err != nil && err.Error() != "namespace n05: "+errFault.Error() {
			t.Errorf("seen %q, %v", seen, err)
		}
		if limit != tc.parallel || c.most < tc.least || c.most > tc.most {
			t.Errorf("%d at once, want %d to %d; %d requests at most, want %d", c.most, tc.least, tc.most, limit, tc.parallel)
		}
	}
}

// unasked fails the test if keyrings are asked for by themselves.
type unasked struct {
	*memCluster
	t *testing.T
}

func (c unasked) Keyrings(context.Context, string) ([]corev1.Secret, error) {
	c.t.Error("asked for keyrings that the look at the Secrets has shown")
	return nil, nil
}

// Keyring Secrets come with the list of our Secrets.
func TestKeyringsComeWithTheSecrets(t *testing.T) {
	d := newDesk(t, threeEntries, "a", "b")
	d.must((*desk).push)
	s, _ := d.openOn(unasked{d.cluster, t}, Retire{}.Needs())
	for generation := range 2 {
		d.cluster.CreateSecret(t.Context(), keysecret.Secret(s.Project.Keys, "a", "fernet-key", generation+1), false)
	}
	p, err := Retire{}.Plan(t.Context(), s)
	if err != nil || len(p.Items) != 1 || p.Items[0].keyring == nil || len(p.keyrings) != 1 {
		t.Fatalf("%v: %d items", err, len(p.Items))
	}
	s.Close()
	s, _ = d.openOn(unasked{d.cluster, t}, Verify{}.Needs())
	r, err := Verify{}.Run(t.Context(), s)
	var keyrings int
	for _, f := range r.Found {
		if f.Namespace == "a" && f.Code == finding.Keyring {
			keyrings++
		}
	}
	if err != nil || keyrings != 2 {
		t.Errorf("%v: %d keyrings in %+v", err, keyrings, r.Found)
	}
}
