// SPDX-License-Identifier: Apache-2.0

// Package action holds the use cases, one file a verb: what push, restore and the others
// do, without a terminal. A Request goes in; Plan looks and decides, and writes nothing;
// Apply writes, in the one order that keeps the promises (journal.go). What a user has to
// know meanwhile leaves as Events, what came of it as a result. Nothing here knows a flag,
// a stream or an exit code.
package action

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/target"
	"github.com/kubectl-fernet/kubectl-fernet/internal/workload"
)

// Mode says how far a run goes.
type Mode int

// The modes of a run.
const (
	Live   Mode = iota
	Server      // the API server judges what would be written, and keeps nothing of it
	Client      // nothing is sent that could change anything
)

// Request is what a user asks of a use case beside what is the verb's own.
type Request struct {
	Machine
	Paths

	Match             []string // globs over the names of entries, valid ones; none: as the settings say
	Bundle, KeySecret string   // base names, valid ones; empty: as the settings say
	AllowEmpty        bool
	Target            target.Request // without ClusterName, which the .env says
	SeveralClusters   bool           // this is one run of several, each with a cluster of its own
	SameCluster       bool           // what the ledger recorded may be gone from its cluster
	IgnoreKeys        []string       // ids of keys whose rows hold nothing back
	Parallel          int            // requests under way at once, from 1
	Mode              Mode
	Command           hint.Text // as it was typed, for hints that extend it
	Tell              func(Event)
}

// Paths are the files that a run works on.
type Paths struct {
	Env, Ledger, KeyFile string // no KeyFile: the keys are in Env or in the environment
}

// Flags gives the flags with which a command of a hint works on the same files; none for
// those that it finds by itself.
func (p Paths) Flags() hint.Text {
	flags := EnvFlag(p.Env)
	if p.Ledger != "" && filepath.Clean(p.Ledger) != filepath.Join(filepath.Dir(p.Env), DefaultLedger) {
		flags += hint.Format(" --ledger %s", p.Ledger)
	}
	if p.KeyFile != "" {
		flags += hint.Format(" --key-file %s", p.KeyFile)
	}
	return flags
}

// Machine is what a use case uses of the machine that it runs on.
type Machine struct {
	Files                   atomicfile.FS
	FernetKey, FernetKeyOld string // FERNET_KEY and FERNET_KEY_PREVIOUS
	FernetKeyEmpty          bool   // FERNET_KEY is set, and empty
	Connect                 func(config *rest.Config, trace cluster.Trace, limit int) (Cluster, error)
	Now                     func() time.Time
}

// On is the real machine, with the disk seen through files.
func On(files atomicfile.FS) Machine {
	return Machine{Files: files, Now: time.Now, Connect: func(config *rest.Config, trace cluster.Trace, limit int) (Cluster, error) {
		return cluster.Connect(config, trace, limit)
	}}
}

// Warnings is the warning handler of an API server's texts, cleaned of what may be secret.
func Warnings(say func(text string)) rest.WarningHandler { return cluster.Warnings(say) }

// Cluster is what a use case uses of an API server; *cluster.Client says what each does.
type Cluster interface {
	Observe(ctx context.Context, namespace string, in manifest.Interest) (cluster.Sight, error)
	AwaitGone(ctx context.Context, objects []manifest.Object, limit time.Duration) (left, gone []manifest.Object, err error)
	GetSecrets(ctx context.Context, namespace string, names []string) ([]manifest.Object, error)
	Labelled(ctx context.Context, namespace, selector string) ([]manifest.Object, error)
	Keyrings(ctx context.Context, namespace string) ([]corev1.Secret, error)

	Create(ctx context.Context, row ledger.Row, dryRun bool) cluster.Result
	CreateSecret(ctx context.Context, sent *corev1.Secret, dryRun bool) cluster.Result
	CreateAll(ctx context.Context, rows []ledger.Row, parallel int, dryRun bool, done func(i int, r cluster.Result))
	DeleteAll(ctx context.Context, objects []manifest.Object, parallel int, dryRun bool, done func(i int, r cluster.DeleteResult))
	Adopt(ctx context.Context, seen manifest.Object, row ledger.Row, dryRun bool) (manifest.Object, error)

	Users(ctx context.Context, namespaces []string, wanted func(workload.Workload) bool) (map[string]cluster.Users, error)
	GetWorkload(ctx context.Context, kind workload.Kind, namespace, name string) (workload.Workload, error)
	Patch(ctx context.Context, w workload.Workload, change workload.Change, dryRun bool) (workload.Workload, error)
	Follow(ctx context.Context, kind workload.Kind, namespace string, seen func(w workload.Workload, gone bool)) error
	Walks(ctx context.Context, namespaces []string, names func(namespace, name string) bool) (map[string]cluster.Walk, error)
}

// Kind is what an Event is.
type Kind int

// The kinds of events.
const (
	Aimed    Kind = iota // the target is known: Text says it
	Note                 // something that may surprise
	Warning              // something that may be wrong
	Hint                 // the way out of what was told before
	Line                 // a line of a list
	Asked                // a request that was made
	Progress             // Done of Total; Text says of what. Done 0 begins.
	Did                  // something that was done, or in a dry run would be: a line of the result
)

// Event is something that a user has to know while a run is under way.
type Event struct {
	Kind        Kind
	Text        string
	Done, Total int
	Item        Item // of Did: the same for a report
}

func (s *Session) note(format string, args ...any) {
	s.Tell(Event{Kind: Note, Text: fmt.Sprintf(format, args...)})
}

func (s *Session) warn(format string, args ...any) {
	s.Tell(Event{Kind: Warning, Text: fmt.Sprintf(format, args...)})
}

func (s *Session) line(format string, args ...any) {
	s.Tell(Event{Kind: Line, Text: fmt.Sprintf(format, args...)})
}

// hint tells the way out of what was told before.
func (s *Session) hint(way hint.Text) {
	if way != "" {
		s.Tell(Event{Kind: Hint, Text: string(way)})
	}
}

// did reports what was done, with the namespace where there are several.
func (s *Session) did(item Item, text string) {
	if len(s.Target.Namespaces) > 1 {
		text += " in " + item.Namespace
	}
	s.Tell(Event{Kind: Did, Text: text, Item: item})
}

// progress tells that a count begins, and gives a function that counts.
func (s *Session) progress(what string, total int) (step func()) {
	e := Event{Kind: Progress, Text: what, Total: total}
	s.Tell(e)
	return func() {
		e.Done++
		s.Tell(e)
	}
}
