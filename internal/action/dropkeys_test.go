// SPDX-License-Identifier: Apache-2.0

package action

import (
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// What keeps a previous key, each by itself, with the beginning of its way out.
func TestWhatKeepsAKey(t *testing.T) {
	copied := func(d *desk) {
		o := d.cluster.secrets[[2]string{"a", "secret-a"}]
		o.Namespace = "backup"
		d.cluster.put(o)
	}
	for _, tc := range []struct {
		name  string
		verb  Retire
		spoil func(*desk)
		want  []Kept // a part of the reason, and the beginning of the way out
	}{
		{name: "nothing"},
		{name: "a copy elsewhere", spoil: copied, want: []Kept{{"was made for another place: backup/secret-a", "copy the current generation there; or --ignore backup/secret-a"}}},
		{name: "a copy that is ignored", verb: Retire{Ignore: Ignore{Copies: []string{"backup/secret-a"}}}, spoil: copied},
		{name: "a copy that is not looked for", verb: Retire{SkipClusterCheck: true}, spoil: copied},
		{name: "a namespace that this run leaves out", spoil: func(d *desk) { d.request.Target.Namespaces = []string{"a"} }, want: []Kept{
			{`still needed in namespace "b" of cluster "c" by secret/secret-a`, ""},
			{"b/secret-c", "kubectl fernet rotate -n b "},
		}},
		{name: "a Secret that is gone, and its successor was created", spoil: func(d *desk) { delete(d.cluster.secrets, [2]string{"a", "secret-b"}) }},
		{name: "a value in the .env that was replaced", spoil: func(d *desk) {
			put(d.t, DefaultEnv, strings.ReplaceAll(get(d.t, DefaultEnv), "=due\n", "=two\n"))
		}, want: []Kept{{`has an older value of SECRET_B than secret/secret-b-g2 in namespace "a"`, ""}, {`has an older value of SECRET_B than secret/secret-b-g2 in namespace "b"`, ""}}},
		{name: "a cluster that cannot be reached", spoil: func(d *desk) { d.elsewhere("there") }, want: []Kept{{`cluster "there" of the ledger was not reached`, "--forget-cluster there"}}},
		{name: "a cluster that is gone for good", verb: Retire{Forget: []string{"there"}}, spoil: func(d *desk) { d.elsewhere("there") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, threeEntries, "a", "b")
			d.changeKeys()
			if tc.spoil != nil {
				tc.spoil(d)
			}
			drop, err := d.dropKeys(tc.verb)
			if err != nil || len(drop.Keys) != 1 || drop.Path != DefaultEnv {
				t.Fatalf("%+v, %v", drop, err)
			}
			if len(drop.Reasons) != len(tc.want) {
				t.Fatalf("%d reasons, want %d: %q", len(drop.Reasons), len(tc.want), drop.Reasons)
			}
			for i, because := range drop.Reasons {
				if !strings.Contains(because.Reason, tc.want[i].Reason) || !strings.HasPrefix(string(because.Way), string(tc.want[i].Way)) || (because.Way == "") != (tc.want[i].Way == "") {
					t.Errorf("%q, want %q", because, tc.want[i])
				}
			}
		})
	}
}

// elsewhere pushes under the previous key into another cluster, which is gone then.
func (d *desk) elsewhere(name string) {
	d.t.Helper()
	before, env, here := d.request, get(d.t, DefaultEnv), d.cluster
	config := clientcmdapi.NewConfig()
	config.CurrentContext = "there"
	config.Contexts["there"] = &clientcmdapi.Context{Cluster: name}
	config.Clusters[name] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:2"}
	d.request.Target.Load = func(string) clientcmd.ClientConfig {
		return clientcmd.NewDefaultClientConfig(*config, &clientcmd.ConfigOverrides{})
	}
	d.request.Target.Bare, d.cluster = d.request.Target.Load, newMemCluster()
	put(d.t, DefaultEnv, strings.ReplaceAll(threeEntries, testKey, keyBefore))
	d.must((*desk).push)
	put(d.t, DefaultEnv, env)
	d.request, d.cluster = before, here
}

// dropKeys retires, and searches for what keeps the previous keys.
func (d *desk) dropKeys(verb Retire) (*KeyDrop, error) {
	d.t.Helper()
	s, err := d.open(verb.Needs())
	if err != nil {
		return nil, err
	}
	defer s.Close()
	p, err := verb.Plan(d.t.Context(), s)
	if err != nil {
		return nil, err
	}
	if err := p.Apply(d.t.Context()); err != nil || p.Has(plan.Failed) {
		d.t.Fatal(err)
	}
	return p.DropKeys(d.t.Context())
}
