// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/target"
)

// Session is a project at a target: all that a use case needs.
type Session struct {
	Request
	Project  *Project
	Settings Settings // of the .env, with the flags applied
	Target   target.Target
	Cluster  Cluster // nil until Dial

	Book    *ledger.Book    // what the rows of the ledger add up to
	Records []ledger.Record // of the target's cluster: evidence and hints
	Blank   bool            // the ledger had no evidence when it was opened
	Known   map[string]Recorded

	Unlisted map[string]bool            // namespaces in which Secrets may not be listed
	rings    map[string][]corev1.Secret // keyring Secrets, by namespace, as the last look at it saw them
	Unseen   []Unseen                   // what could not be looked at, and was reported
	Again    hint.Text                  // the command that puts back what was deleted
	Update   hint.Text                  // the command that publishes changed values

	reading Reading
	warned  bool // of a key that is in the cluster from now on
	lock    *ledger.Guard
	ledger  *ledger.Ledger // nil in a run that writes no rows
	inPart  bool
}

// Unseen is what could not be looked at.
type Unseen struct {
	Namespace string `json:"namespace"`
	What      string `json:"what"`
	Role      string `json:"-"` // the verb whose Role lets look at it; empty: that of the run
}

// Recorded is what the ledger had of one namespace when it was opened.
type Recorded struct {
	Records []ledger.Record
	Past    *ledger.Past
}

// Reading says what a use case needs of the .env.
type Reading int

// What a .env is read for.
const (
	Entries      Reading = iota // keys and checked entries
	EntriesIfAny                // the same; the file may be missing if keys are elsewhere
	Keys                        // keys; the file may be missing if they are elsewhere
	Names                       // the names of entries; keys if they are at hand, and the file may be missing
)

// Needs is what a use case needs of its session.
type Needs struct {
	Read     Reading
	KeyLess  bool // can do without a key
	Offline  bool // no cluster is needed
	Writes   bool // rows, in a Live run: takes the lock
	Spreads  bool // where nothing names namespaces, the target is all that the ledger knows
	Selects  bool // something of the .env has to be chosen, or, if it spreads, recorded
	Stays    bool // stops where nothing names a namespace and the ledger knows this .env in others
	AimFirst bool // tells the target before the ledger is read, and not with Start
	InPart   bool // goes on where a namespace may not be looked at
	Recorded bool // in Client mode too: what is planned is recorded, for a cluster that has a name
}

// ErrOneCluster refuses a CLUSTER_NAME, which means one cluster, where there are to be several.
var ErrOneCluster = errors.New("--contexts goes to several clusters, and CLUSTER_NAME is")

// Open reads the .env, finds the target, takes the lock and reads the ledger: the one
// preamble of all use cases. With an error nothing is held; else Close has to be called.
func Open(ctx context.Context, r Request, needs Needs) (*Session, error) {
	s, err := load(ctx, r, needs)
	if err != nil {
		return nil, err
	}
	return s, s.reach(needs)
}

// load reads the .env, and is all that a use case needs which has neither target nor ledger.
func load(ctx context.Context, r Request, needs Needs) (*Session, error) {
	r.Target.Offline = needs.Offline
	s := &Session{
		Request: r, reading: needs.Read, inPart: needs.InPart, Unlisted: map[string]bool{}, rings: map[string][]corev1.Secret{}, Known: map[string]Recorded{},
		Again: "kubectl fernet restore" + r.Flags(), Update: "kubectl fernet push --update" + r.Flags(),
	}
	err := s.load(ctx)
	if needs.KeyLess && errors.Is(err, ErrKeyless) {
		err = nil
	}
	return s, err
}

// reach finds the target, takes the lock and reads the ledger. With an error nothing is held.
func (s *Session) reach(needs Needs) error {
	if err := s.aim(); err != nil {
		return err
	}
	if needs.Recorded && s.Target.Cluster == "" {
		return hint.With(errors.New("--record needs the name of a cluster"), "set CLUSTER_NAME in %s, or pass --context", s.Env)
	}
	if needs.AimFirst {
		s.announce()
	}
	if err := s.openLedger(needs.Recorded || needs.Writes && s.Mode == Live); err != nil {
		s.Close()
		return err
	}
	if needs.Writes && s.Mode == Live && s.Target.Cluster == "" {
		s.Close()
		return hint.With(errors.New("the cluster has no name here: this is a pod without a kubeconfig"), "write CLUSTER_NAME=NAME into %s: the ledger knows the cluster by it", s.Env)
	}
	if needs.Spreads {
		s.spread()
	}
	if err := s.settle(needs); err != nil {
		s.Close()
		return err
	}
	return nil
}

// settle takes, besides the entries that the globs choose, those that the ledger has; only
// now it is known.
func (s *Session) settle(needs Needs) error {
	if err := s.takePushed(); err != nil {
		return err
	}
	if needs.Stays {
		if err := s.stay(); err != nil {
			return err
		}
	}
	if needs.Selects && s.Project.raw != nil {
		if err := s.selected(needs.Spreads); err != nil {
			return err
		}
	}
	s.valueNotes()
	return s.ownNames()
}

// Close lets go of the lock. It may be called more than once.
func (s *Session) Close() {
	if s.lock != nil {
		_ = s.lock.Unlock()
		s.lock = nil
	}
}

// aim finds the target.
func (s *Session) aim() (err error) {
	name, err := s.Project.clusterName()
	if err != nil {
		return err
	}
	if s.SeveralClusters && name != "" && !s.Request.Target.IgnoreClusterName {
		return hint.With(fmt.Errorf("%w %q", ErrOneCluster, name), "add --ignore-cluster-name, or take CLUSTER_NAME out of %s", s.Env)
	}
	s.Request.Target.ClusterName = name
	s.Target, err = s.Request.Target.Resolve()
	return err
}

// announce tells the target.
func (s *Session) announce() { s.Tell(Event{Kind: Aimed, Text: s.Target.String()}) }

// Start tells the target and connects to it.
func (s *Session) Start() error {
	s.announce()
	return s.dial()
}

// openLedger takes the lock and reads the ledger; a run that writes no row takes no lock.
func (s *Session) openLedger(write bool) (err error) {
	keys := s.Project.ledgerKeys()
	if !write {
		if s.Book, err = ledger.Read(s.Files, s.Ledger, keys); err != nil {
			return err
		}
		return s.index()
	}
	if s.lock, err = ledger.Lock(s.Ledger); err != nil {
		return err
	}
	if err := s.guard(); err != nil {
		return err
	}
	if s.ledger, err = ledger.Open(s.Files, s.Ledger, s.lock, keys); err != nil {
		return err
	}
	for _, note := range s.ledger.Notes() {
		s.note("%s", note)
	}
	s.Book = s.ledger.Book()
	return s.index()
}

// guard extends the lock to the files that hold keys: it removes what a killed run left
// of their next content and checks that the .env is as it was read.
func (s *Session) guard() error {
	if s.KeyFile != "" && !SameFile(s.KeyFile, s.Env) {
		if _, err := atomicfile.CleanLeftover(s.Files, s.KeyFile); err != nil {
			return err
		}
	}
	if s.Project.raw == nil {
		return nil
	}
	if _, err := atomicfile.CleanLeftover(s.Files, s.Env); err != nil {
		return err
	}
	return s.Project.unchanged()
}

// index takes what the ledger has of the target's cluster. Offline, where nothing
// names one, that is the ledger's only one.
func (s *Session) index() error {
	clusters := s.Book.Clusters()
	if n := len(clusters); s.Target.Cluster == "" && n > 0 {
		s.Target.Cluster = clusters[0]
		if last := clusters[n-1]; last != s.Target.Cluster {
			return hint.With(fmt.Errorf("%s has several clusters, such as %s and %s, and nothing says which is meant", s.Ledger, s.Target.Cluster, last),
				"CLUSTER_NAME in %s, or --context", s.Env)
		}
	}
	if s.Blank = len(clusters) == 0; s.Blank && s.Project.File != nil {
		if e, has := s.Project.File.Lookup(keyring.EnvVarKey); has {
			s.note("%s:%d: %s is taken as the key, as %s would be", s.Env, e.Line, e.Name, keyring.VarKey)
		}
	}
	for _, namespace := range s.Book.Namespaces(s.Target.Cluster) {
		records, past := s.Book.At(s.Target.Cluster, namespace)
		s.Known[namespace] = Recorded{records, past}
		s.Records = append(s.Records, records...)
	}
	s.ledgerWarnings(clusters)
	return nil
}

// ledgerWarnings tells what is odd about the ledger.
func (s *Session) ledgerWarnings(clusters []string) {
	for _, same := range ledger.Conflicts(s.Records) {
		s.warn("%s: %d tokens are recorded as created for Secret %s in namespace %s; the cluster decides which is there", s.Ledger, len(same), same[0].Secret, same[0].Namespace)
	}
	if edited, more := s.Book.Edited(); len(edited) == 1 {
		s.warn("%s:%d: a row was edited, and is not what the key signed that it names: kubectl fernet verify%s", s.Ledger, edited[0].Line, s.Flags())
	} else if len(edited) > 1 {
		s.warn("%s:%d and %d more: rows were edited, and are not what the keys signed that they name: kubectl fernet verify%s", s.Ledger, edited[0].Line, len(edited)-1+more, s.Flags())
	}
	if len(clusters) > 0 && !slices.Contains(clusters, s.Target.Cluster) {
		s.note("the ledger has nothing of cluster %q yet; it has %s", s.Target.Cluster, hint.Few(clusters))
	}
}

// checkKeys refuses to go on where the ledger knows every wanted entry, and each
// only under keys that are not held: that is another .env, or its key was lost.
func (s *Session) checkKeys() error {
	unknown := map[string]bool{}
	for _, namespace := range s.Target.Namespaces {
		named, wanted := map[string]bool{}, map[string]bool{}
		for _, entry := range s.wanted(namespace) {
			wanted[entry.Base] = true
		}
		for _, record := range s.recordsIn(namespace) {
			base, _ := names.Split(record.Secret)
			if record.State != ledger.Created || !wanted[base] || slices.Contains(s.IgnoreKeys, record.KeyID) {
				continue
			}
			if s.Project.Keys.Has(record.KeyID) {
				return nil
			}
			unknown[record.KeyID], named[base] = true, true
		}
		if len(named) < len(wanted) {
			return nil
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	ids := hint.List(SortedKeys(unknown))
	held := strings.Join(s.Project.Keys.IDs(), ", ")
	if from := s.Project.Keys.From(); from != EnvVarKey {
		return hint.With(fmt.Errorf("the keys of %s are %s, but the ledger's tokens here are under %s", from, held, ids),
			"get the .env with that key; if KEY is a new one, put the key %s into KEY_PREVIOUS", ids)
	}
	return hint.With(fmt.Errorf("the keys in FERNET_KEY and FERNET_KEY_PREVIOUS are %s, but the ledger's tokens here are under %s", held, ids),
		"set FERNET_KEY to that key; if yours is a new one, put the key %s into FERNET_KEY_PREVIOUS", ids)
}

// dial connects to the target's cluster.
func (s *Session) dial() error {
	config, err := s.Target.Config()
	if err != nil {
		return err
	}
	s.Cluster, err = s.Connect(config, s.trace(), s.Parallel)
	return err
}

// dialQuietly is Dial for a question that is not worth a prompt.
func (s *Session) dialQuietly() error {
	config, err := s.Target.Config()
	if err != nil {
		return err
	}
	if config.ExecProvider != nil {
		config.ExecProvider.InteractiveMode = clientcmdapi.NeverExecInteractiveMode
	}
	s.Cluster, err = s.Connect(config, nil, s.Parallel)
	return err
}

// trace tells of each request, and the first time that the API server throttles.
func (s *Session) trace() cluster.Trace {
	first := newOnce()
	return func(e cluster.Exchange) {
		if e.Status == 429 && e.RetryAfter != "" && first() {
			s.note("the API server throttles this client (429); waiting as it asks (Retry-After: %s s)", e.RetryAfter)
		}
		s.Tell(Event{Kind: Asked, Text: fmt.Sprintf("%s %s %d in %d ms", e.Method, e.Path, e.Status, e.Took.Milliseconds())})
	}
}

// Aimed gives the flags with which a command of a hint works on the same .env and, where
// one was named, in this namespace.
func (s *Session) Aimed(namespace string) hint.Text {
	flags := s.Flags()
	if s.Target.Named || s.Target.Chosen && len(s.Target.Namespaces) > 1 {
		flags += hint.Format(" -n %s", namespace)
	}
	return flags
}

// spread takes all namespaces that the ledger knows in this cluster as the target, unless
// some were named. Where the .env names them, it tells which ones that leaves out.
func (s *Session) spread() {
	known := s.recordedNamespaces()
	switch {
	case !s.Target.Chosen && len(known) > 0:
		s.Target.Namespaces = known
	case s.Target.Chosen && !s.Target.Named:
		if out := s.knownElsewhere(); len(out) > 0 {
			s.note("%s leaves out what the ledger has of %s in %s; for one run: %s", VarNamespace, s.Env, hint.Few(out), namespaceFlag(out))
		}
	}
}

// knownElsewhere gives the namespaces beside the target's in which the ledger's evidence
// has entries of this .env.
func (s *Session) knownElsewhere() []string {
	return slices.DeleteFunc(s.recordedNamespaces(), func(namespace string) bool {
		return slices.Contains(s.Target.Namespaces, namespace) || len(s.pushed(namespace)) == 0
	})
}

// stay refuses to write to, or to compare with, a namespace of which only the kubeconfig
// says that it is meant, where the ledger knows this .env in others alone.
func (s *Session) stay() error {
	here := s.Target.Namespaces[0]
	if s.Target.Chosen || s.SeveralClusters || len(s.pushed(here)) > 0 { // several contexts were named with theirs
		return nil
	}
	known := s.knownElsewhere()
	if len(known) == 0 {
		return nil
	}
	places := fmt.Sprintf("namespace %q", known[0])
	if len(known) > 1 {
		places = "the namespaces " + hint.Few(known)
	}
	return hint.With(fmt.Errorf("the ledger knows %s in %s, and the kubeconfig's namespace is %q", s.Env, places, here),
		"%s; or write %s=%s into %s. To go to the other one: -n %s", namespaceFlag(known), hint.Text(VarNamespace), strings.Join(known, ","), s.Env, here)
}

// namespaceFlag gives the flag to type that names these namespaces.
func namespaceFlag(namespaces []string) hint.Text {
	if len(namespaces) == 1 {
		return hint.Format("-n %s", namespaces[0])
	}
	return hint.Format("--namespaces %s", strings.Join(namespaces, ","))
}

// recordedNamespaces are those of which the ledger's evidence has more than the past.
func (s *Session) recordedNamespaces() []string {
	known := map[string]bool{}
	for _, record := range s.Records {
		if !record.Hint && (record.State == ledger.Created || record.State == ledger.Planned) {
			known[record.Namespace] = true
		}
	}
	return SortedKeys(known)
}

// recordsIn gives what the ledger had of one namespace of the target's cluster.
func (s *Session) recordsIn(namespace string) []ledger.Record { return s.Known[namespace].Records }

// wanted gives the Secrets that the .env wants in a namespace: those of the entries that the
// globs choose, and of those that were pushed there; or the bundle that has them all.
func (s *Session) wanted(namespace string) []plan.Wanted {
	pushed := s.pushedBesides(namespace)
	var entries []plan.Wanted
	for _, w := range s.Project.Wanted {
		if pushed[w.EnvKey] || s.Settings.chooses(w.EnvKey) {
			entries = append(entries, w)
		}
	}
	return plan.Bundling(entries, s.Settings.Bundle)
}

// pushedBesides names what was pushed to a namespace and is wanted there whatever the globs
// choose: where FERNET_MATCH stands, nothing.
func (s *Session) pushedBesides(namespace string) map[string]bool {
	if len(s.Settings.own) > 0 {
		return nil
	}
	return s.pushed(namespace)
}

// pushed names the entries of the .env that the ledger's evidence has in a namespace.
func (s *Session) pushed(namespace string) map[string]bool {
	pushed := map[string]bool{}
	for _, r := range s.recordsIn(namespace) {
		if r.Hint || r.State != ledger.Created && r.State != ledger.Planned {
			continue
		}
		for _, e := range r.Placed().Entries() {
			if s.Project.Has(e.Name) {
				pushed[e.Name] = true
			}
		}
	}
	return pushed
}

// mine gives the base names of this project in a namespace: those of the .env, and those
// that the ledger's evidence has.
func (s *Session) mine(namespace string) []plan.Wanted {
	return plan.Mine(s.recordsIn(namespace), s.wanted(namespace))
}

// located adds the place in the .env to an error about an entry.
func (s *Session) located(err error) error { return s.Project.located(err) }

// SortedKeys gives the keys of a map in order.
func SortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
