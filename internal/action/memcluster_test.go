// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/target"
	"github.com/kubectl-fernet/kubectl-fernet/internal/usage"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// fault is what happens to one request that changes something.
type fault int

const (
	sound   fault = iota
	unsent        // it never left
	refused       // the API server said no
	lost          // nobody knows, and it was not done
	landed        // nobody knows, and it was done
	held          // of a delete: a finalizer holds it
	changed       // of a delete or a patch: another process was there first
)

// memCluster is a map as the cluster. Its methods are those of *cluster.Client that the
// tested use cases call; the embedded interface is nil and panics for others.
type memCluster struct {
	Cluster
	mutex   sync.Mutex
	secrets map[[2]string]manifest.Object // by namespace and name
	had     map[[2]string]string          // the token that a name ever had
	uids    int
	unlist  bool   // Secrets may not be listed
	forbid  string // a namespace in which nothing may be done

	sent   func(row ledger.Row) // called before a create that is no dry run
	at     int                  // the number of the write that has the fault, from 1
	fault  fault
	writes int // creates, deletes and patches that were no dry runs
	blind  int // the number of the look that fails, from 1
	looks  int

	deleting  func(o manifest.Object)                             // called before a delete that is no dry run
	whole     map[[2]string]corev1.Secret                         // the keyring Secrets
	refer     func(walk int, namespace string) []usage.Finding    // what a walk finds
	walks     int                                                 // over all namespaces
	denied    []cluster.Kind                                      // to every walk
	workloads map[string][]workload.Workload                      // by namespace
	denies    map[string]error                                    // what admission says to the patch of a workload, by its name
	reverts   map[string]bool                                     // whose old names are put back at once, by its name
	patched   func(w workload.Workload, rename map[string]string) // called before a patch that is no dry run
}

func newMemCluster() *memCluster {
	return &memCluster{
		secrets: map[[2]string]manifest.Object{}, had: map[[2]string]string{}, whole: map[[2]string]corev1.Secret{},
		workloads: map[string][]workload.Workload{},
	}
}

// names gives what is there, as NAMESPACE/NAME.
func (m *memCluster) names() (list []string) {
	for at := range m.secrets {
		list = append(list, at[0]+"/"+at[1])
	}
	slices.Sort(list)
	return list
}

func (m *memCluster) put(o manifest.Object) manifest.Object {
	m.uids++
	o.UID = fmt.Sprintf("00000000-0000-4000-8000-%012d", m.uids)
	m.secrets[[2]string{o.Namespace, o.Name}] = o
	return o
}

func (m *memCluster) Observe(_ context.Context, namespace string, in manifest.Interest) (sight cluster.Sight, err error) {
	if err := m.look(); err != nil {
		return sight, err
	}
	if namespace == m.forbid {
		return cluster.Sight{}, &cluster.Error{Message: "secrets is forbidden", Rights: true}
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, at := range slices.SortedFunc(maps.Keys(m.secrets), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		if o := m.secrets[at]; o.Namespace == namespace && (in.Covers(o.Name) || in.Labelled && o.Managed) {
			sight.Objects = append(sight.Objects, o)
		}
		if o := m.secrets[at]; o.Namespace == namespace && o.Kind == manifest.KindKeyring && !m.unlist {
			sight.Keyrings = append(sight.Keyrings, m.whole[at])
		}
	}
	sight.Listed = !m.unlist
	return sight, nil
}

func (m *memCluster) AwaitGone(_ context.Context, objects []manifest.Object, _ time.Duration) (left, gone []manifest.Object, err error) {
	return objects, nil, nil
}

func (m *memCluster) GetSecrets(_ context.Context, namespace string, names []string) (found []manifest.Object, err error) {
	if err := m.look(); err != nil {
		return nil, err
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for _, name := range names {
		if o, there := m.secrets[[2]string{namespace, name}]; there {
			found = append(found, o)
		}
	}
	return found, nil
}

var errFault = errors.New("injected fault of the cluster")

// next says what happens to the write that comes now.
func (m *memCluster) next() fault {
	if m.writes++; m.writes == m.at {
		return m.fault
	}
	return sound
}

// look fails if it is the turn of a look to fail.
func (m *memCluster) look() error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.looks++; m.looks == m.blind {
		return errFault
	}
	return nil
}

func (m *memCluster) Create(_ context.Context, row ledger.Row, dryRun bool) cluster.Result {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	at := [2]string{row.Namespace, row.Secret}
	if there, taken := m.secrets[at]; taken && there.Carries(row) {
		return cluster.Result{Fate: cluster.Landed, Object: there}
	} else if taken {
		return cluster.Result{Fate: cluster.Taken, Object: there, Err: errFault}
	}
	o := manifest.FromSecret(manifest.Secret(row))
	if dryRun {
		return cluster.Result{Fate: cluster.Landed, Object: o}
	}
	if m.sent != nil {
		m.sent(row)
	}
	what := m.next()
	if what == sound || what >= landed {
		o = m.put(o)
	}
	return created(what, o)
}

// created is the result of a create.
func created(what fault, o manifest.Object) cluster.Result {
	switch what {
	case unsent:
		return cluster.Result{Fate: cluster.NotSent, Err: errFault}
	case refused:
		return cluster.Result{Fate: cluster.Refused, Err: errFault}
	case lost, landed:
		return cluster.Result{Fate: cluster.Doubtful, Err: errFault}
	default:
		return cluster.Result{Fate: cluster.Landed, Object: o}
	}
}

func (m *memCluster) CreateAll(ctx context.Context, rows []ledger.Row, _ int, dryRun bool, done func(int, cluster.Result)) {
	for i, row := range rows {
		done(i, m.Create(ctx, row, dryRun))
	}
}

func (m *memCluster) Adopt(_ context.Context, seen manifest.Object, row ledger.Row, dryRun bool) (manifest.Object, error) {
	o := manifest.FromSecret(manifest.Secret(row))
	o.UID, o.Immutable = seen.UID, seen.Immutable
	if dryRun {
		return o, nil
	}
	what := m.next()
	if what == sound || what == landed {
		m.secrets[[2]string{o.Namespace, o.Name}] = o
	}
	if what != sound {
		return manifest.Object{}, errFault
	}
	return o, nil
}

// desk is an operator's folder, and the cluster that they work on.
type desk struct {
	t       *testing.T
	cluster *memCluster
	files   atomicfile.FS
	said    []Event
	mutex   sync.Mutex
	order   []string              // of the workloads that were patched
	fates   map[string]plan.State // of the workloads of the last rollout, by name
	request Request
}

// newDesk is in an empty folder with this .env.
func newDesk(t *testing.T, env string, namespaces ...string) *desk {
	t.Helper()
	emptyFolder(t)
	put(t, DefaultEnv, env)
	return &desk{t: t, cluster: newMemCluster(), files: atomicfile.OS, request: Request{
		Paths: Paths{Env: DefaultEnv, Ledger: DefaultLedger}, Match: []string{"SECRET*"}, Parallel: 4, Command: "kubectl fernet",
		Target: target.Request{Load: oneContext, Bare: oneContext, Namespaces: namespaces},
	}}
}

func oneContext(string) clientcmd.ClientConfig {
	config := clientcmdapi.NewConfig()
	config.CurrentContext = "here"
	config.Contexts["here"] = &clientcmdapi.Context{Cluster: "c", Namespace: "ns"}
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
	return clientcmd.NewDefaultClientConfig(*config, &clientcmd.ConfigOverrides{})
}

// open opens a session on the desk.
func (d *desk) open(needs Needs) (*Session, error) {
	d.t.Helper()
	r := d.request
	r.Machine = On(d.files)
	r.FernetKey = d.request.FernetKey
	r.Connect = func(*rest.Config, cluster.Trace, int) (Cluster, error) { return d.cluster, nil }
	r.Tell = func(e Event) {
		d.mutex.Lock()
		defer d.mutex.Unlock()
		d.said = append(d.said, e)
	}
	return Open(d.t.Context(), r, needs)
}
