// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// keyDrop is the search for reasons to keep the previous keys.
type keyDrop struct {
	*retireRun
	previous []string
	alone    token.Judge
	reasons  []kept
	ended    []ledger.Row   // of what is gone: written before the keys go
	found    map[string]int // recorded Secrets that are there, by cluster; -1: not looked at
}

// kept is a reason to keep a key, and the way out where there is one.
type kept struct {
	reason string
	way    hint.Text
}

func (k *keyDrop) keep(format string, args ...any) {
	k.reasons = append(k.reasons, kept{reason: fmt.Sprintf(format, args...)})
}

// unless gives the way out of the last reason.
func (k *keyDrop) unless(way hint.Text) { k.reasons[len(k.reasons)-1].way = way }

// dropKeys throws the previous keys away, if it is proven that nothing which the
// ledger's evidence has, or that the clusters show, needs them.
func (r *retireRun) dropKeys(ctx context.Context) error {
	previous := r.Project.Keys.Previous()
	if len(previous) == 0 {
		return nil
	}
	holder, err := r.KeyHolder()
	if err != nil {
		r.console.note("the previous keys stay: %v", err)
		return nil
	}
	k := &keyDrop{retireRun: r, previous: previous, alone: seal.New(r.Project.Keys.Alone(), nil).Judge, found: map[string]int{}}
	if err := k.search(ctx); err != nil {
		return err
	}
	for _, because := range slices.Compact(k.reasons) {
		r.console.say("key kept: " + because.reason)
		if because.way != "" {
			r.console.hint(because.way)
		}
	}
	if len(k.reasons) > 0 {
		r.left = true
		return nil
	}
	if r.o.dryRun == dryRunNone {
		if dropped, err := k.drop(ctx, holder); !dropped {
			return err
		}
	}
	for _, id := range previous {
		fmt.Fprintf(r.Out, "key/%s dropped%s\n", id, r.o.dryRun.suffix())
	}
	r.keyringNote(previous)
	r.console.note("tokens under it in git, in backups of etcd and in the ledger stay readable with it; programs that read Secrets through the API, and Helm's history, could not be looked at")
	return nil
}

// drop writes what the ledger still lacks, and then takes the keys out of the file.
func (k *keyDrop) drop(ctx context.Context, holder action.Holder) (dropped bool, err error) {
	e, err := holder.Edit(keyring.Drop())
	if err != nil {
		return false, err
	}
	err = k.confirm(ctx, k.o.yes, fmt.Sprintf("nothing needs key %s any more: drop it from %s?", hint.Few(k.previous), holder.Path))
	if errors.Is(err, errNotConfirmed) {
		k.console.say("key kept: not confirmed")
		k.left = true
		return false, nil
	}
	if err != nil {
		return false, err
	}
	now := time.Now().UTC()
	for i := range k.ended {
		k.ended[i].Time = now
	}
	if err := k.Record(k.ended...); err != nil {
		return false, err
	}
	return true, k.Save(e)
}

// keyringNote says that a keyring Secret still has what the .env has not.
func (r *retireRun) keyringNote(dropped []string) {
	for _, held := range r.held {
		if slices.ContainsFunc(held.IDs, func(id string) bool { return slices.Contains(dropped, id) }) {
			r.console.next(hint.Format("secret/%s in namespace %s still holds it: kubectl fernet rollout%s writes the keyring without it and moves the workloads, then kubectl fernet retire%s",
				held.Name, held.Namespace, action.EnvFlag(r.o.env), action.EnvFlag(r.o.env)))
		}
	}
}

// search looks everywhere. A cluster in which none of the Secrets is that the ledger
// recorded there is not taken for the one that the ledger means.
func (k *keyDrop) search(ctx context.Context) error {
	k.files()
	if k.Blank {
		k.keep("%s had nothing before this run, so where else the key is needed is not known", k.o.ledger)
	}
	book := k.Refresh()
	clients := map[string]action.Cluster{}
	for _, name := range k.clusters(book) {
		if slices.Contains(k.o.forget, name) {
			k.forget(book, name)
			continue
		}
		client, err := k.reach(name)
		if err != nil {
			k.found[name] = -1
			k.keep("cluster %q of the ledger was not reached: %s", name, hint.OneLine(err.Error()))
			k.unless(k.forgetting(name))
			continue
		}
		clients[name] = client
		for _, namespace := range k.namespaces(book, name) {
			if err := k.place(ctx, client, book, name, namespace); err != nil {
				return err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(k.found)) {
		if k.found[name] == 0 {
			k.keep("cluster %q has none of the Secrets that the ledger recorded there, so it may be another one", name)
			k.unless(k.forgetting(name))
		}
	}
	for _, name := range action.SortedKeys(clients) {
		if err := k.everywhere(ctx, clients[name], name); err != nil {
			return err
		}
	}
	return nil
}

// forgetting is the way out of a cluster that cannot be looked at, but for the target's.
func (k *keyDrop) forgetting(name string) hint.Text {
	if name == k.Target.Cluster {
		return ""
	}
	return hint.Format("--forget-cluster %s if it is gone for good", name)
}

// files looks at the .env and at the ledger: a stale value could not be compared any
// more, and what an edited row was about is not known.
func (k *keyDrop) files() {
	for _, view := range k.views {
		decisions, err := plan.Push(view, k.Project.Wanted, k.Project.Sealer.Judge, k.Project.Keys, plan.PushOptions{})
		if err != nil {
			continue // what is spelled otherwise is not stale
		}
		for _, d := range decisions {
			if d.Outcome == plan.Stale {
				k.keep("%s has an older value of %s than secret/%s in namespace %q: kubectl fernet pull%s --force", k.o.env, d.Row.EnvKey, d.Row.Secret, d.Row.Namespace, k.Aimed(d.Row.Namespace))
			}
		}
	}
	for _, id := range k.previous {
		if line := k.Book.EditedKey(id); line > 0 {
			k.keep("%s:%d was edited and names key %s: take that line from git, or delete it", k.o.ledger, line, id)
		}
	}
}

// clusters are those of the evidence, and the target's, also where the ledger has
// nothing of it: it may not be the whole one.
func (k *keyDrop) clusters(book *ledger.Book) []string {
	names := append(book.Clusters(), k.Target.Cluster)
	slices.Sort(names)
	return slices.Compact(names)
}

func (k *keyDrop) namespaces(book *ledger.Book, clusterName string) []string {
	names := book.Proven(clusterName) // others may not exist, or be none of ours
	if clusterName == k.Target.Cluster {
		names = append(names, k.Target.Namespaces...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// forget ends all records of a cluster that is gone for good.
func (k *keyDrop) forget(book *ledger.Book, name string) {
	for _, namespace := range book.Namespaces(name) {
		records, past := book.At(name, namespace)
		use := plan.UseOfKeys(plan.NewView(name, namespace, records, past, nil, nil), k.previous, k.Project.Sealer.Judge, k.alone, nil, true)
		k.ended = append(k.ended, use.Close...)
	}
}

// place looks at every Secret that the evidence has in one namespace.
func (k *keyDrop) place(ctx context.Context, client action.Cluster, book *ledger.Book, clusterName, namespace string) error {
	records, past := book.At(clusterName, namespace)
	var names []string
	for _, record := range records {
		if !record.Hint && (record.State == ledger.Created || record.State == ledger.Planned) {
			names = append(names, record.Secret)
		}
	}
	if len(names) == 0 {
		return nil
	}
	where := fmt.Sprintf("namespace %q of cluster %q", namespace, clusterName)
	objects, err := client.GetSecrets(ctx, namespace, slices.Compact(names), k.o.parallel)
	if err != nil {
		k.found[clusterName] = -1
		k.keep("%s could not be looked at: %s", where, hint.OneLine(err.Error()))
		k.unless(k.forgetting(clusterName))
		return ctx.Err()
	}
	if was := k.found[clusterName]; was >= 0 {
		k.found[clusterName] = was + len(objects)
	}
	forgotten := clusterName == k.Target.Cluster && slices.Contains(k.o.forgetNamespaces, namespace)
	use := plan.UseOfKeys(plan.NewView(clusterName, namespace, records, past, objects, nil), k.previous, k.Project.Sealer.Judge, k.alone, k.willGo, forgotten)
	k.ended = append(k.ended, use.Close...)
	if len(use.Lost) > 0 {
		k.keep("%s: gone, and comes back only with a previous key: %s", where, secrets(use.Lost))
		k.unless(hint.Format("kubectl fernet restore -n %s, then kubectl fernet rotate%s; or --forget-namespace %s if it is gone for good", namespace, action.EnvFlag(k.o.env), namespace))
	}
	if len(use.Opened) > 0 {
		k.keep("%s: does not open with KEY alone: %s", where, secrets(use.Opened))
	}
	if len(use.Planned) > 0 {
		k.keep("%s: planned under a previous key, and may still be created: %s; kubectl fernet rotate%s --new-key makes a newer generation", where, secrets(use.Planned), action.EnvFlag(k.o.env))
	}
	return nil
}

func secrets(names []string) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = "secret/" + name
	}
	return hint.Few(out)
}

// everywhere looks at all Secrets of a cluster that carry the id of a previous key.
func (k *keyDrop) everywhere(ctx context.Context, client action.Cluster, clusterName string) error {
	if k.o.skipClusterCheck {
		return k.looked(ctx, client, clusterName)
	}
	for _, id := range k.previous {
		found, err := client.Labelled(ctx, "", manifest.LabelKeyID+"="+id)
		if err != nil {
			k.keep("the Secrets of all namespaces of cluster %q could not be listed, so a copy elsewhere is not ruled out: %s", clusterName, hint.OneLine(err.Error()))
			k.unless("--skip-cluster-check if nobody copies Secrets to other namespaces there")
			return ctx.Err()
		}
		if err := k.copies(ctx, client, clusterName, "", id, found); err != nil {
			return err
		}
	}
	return nil
}

// looked is everywhere for the namespaces that are looked at anyway.
func (k *keyDrop) looked(ctx context.Context, client action.Cluster, clusterName string) error {
	for _, namespace := range k.namespaces(k.Book, clusterName) {
		for _, id := range k.previous {
			found, err := client.Labelled(ctx, namespace, manifest.LabelKeyID+"="+id)
			if err != nil {
				k.keep("namespace %q of cluster %q could not be listed: %s", namespace, clusterName, hint.OneLine(err.Error()))
				return ctx.Err()
			}
			if err := k.copies(ctx, client, clusterName, namespace, id, found); err != nil {
				return err
			}
		}
	}
	return nil
}

// copies judges the Secrets that carry the id of a previous key, in one namespace or
// with "" in all.
func (k *keyDrop) copies(ctx context.Context, client action.Cluster, clusterName, namespace, id string, found []manifest.Object) error {
	var ours []manifest.Object
	var mirrored, foreign []string
	keyrings := false
	for _, o := range found {
		name := o.Namespace + "/" + o.Name
		switch {
		case k.willGo(o):
		case o.Kind == manifest.KindKeyring:
			keyrings = true
		default:
			switch plan.CopyOf(o, id, k.Project.Sealer.Judge) {
			case plan.CopyOurs:
				ours = append(ours, o)
			case plan.CopyMirrored:
				if !slices.Contains(k.o.ignore, name) {
					mirrored = append(mirrored, name)
				}
			case plan.CopyForeign:
				foreign = append(foreign, name)
			}
		}
	}
	k.needed(clusterName, id, ours)
	if len(mirrored) > 0 {
		k.keep("cluster %q: opens with key %s, and was made for another place: %s", clusterName, id, hint.Few(mirrored))
		k.unless(hint.Format("copy the current generation there; or --ignore %s if nothing opens it any more", mirrored[0]))
	}
	if len(foreign) > 0 {
		k.console.note("cluster %q: labelled with key %s, and not opened by it: %s", clusterName, id, hint.Few(foreign))
	}
	if !keyrings {
		return nil
	}
	return k.keyringsUnder(ctx, client, clusterName, namespace, id)
}

// needed keeps a key for Secrets of ours. --ignore does not go past them: a copy can
// be made again, these cannot.
func (k *keyDrop) needed(clusterName, id string, ours []manifest.Object) {
	if len(ours) == 0 {
		return
	}
	var names, ignored []string
	for _, o := range ours {
		name := o.Namespace + "/" + o.Name
		names = append(names, name)
		if slices.Contains(k.o.ignore, name) {
			ignored = append(ignored, name)
		}
	}
	k.keep("cluster %q: opens with key %s: %s", clusterName, id, hint.Few(names))
	if len(ignored) > 0 {
		k.console.note("--ignore is for copies; this was made for its place: %s", hint.Few(ignored))
	}
	k.unless(k.moving(ours))
}

// moving is the way out of Secrets of ours that still need a previous key: those of
// another namespace, or of another .env with the same KEY.
func (k *keyDrop) moving(ours []manifest.Object) hint.Text {
	for _, o := range ours {
		recorded := slices.ContainsFunc(k.RecordsIn(o.Namespace), func(r ledger.Record) bool { return r.Secret == o.Name && !r.Hint })
		switch {
		case !slices.Contains(k.Target.Namespaces, o.Namespace):
			return hint.Format("kubectl fernet rotate -n %s%s gives it a generation under KEY; then kubectl fernet retire -n %s%s", o.Namespace, action.EnvFlag(k.o.env), o.Namespace, action.EnvFlag(k.o.env))
		case !recorded:
			return hint.Format("secret/%s is not in this ledger: rotate it with the .env that it is from; or kubectl fernet adopt %s -n %s%s, then rotate", o.Name, o.Name, o.Namespace, action.EnvFlag(k.o.env))
		}
	}
	return ""
}

// keyringsUnder names the keyring Secrets of ours whose first key is a previous one.
func (k *keyDrop) keyringsUnder(ctx context.Context, client action.Cluster, clusterName, namespace, id string) error {
	all, err := client.Keyrings(ctx, namespace)
	if err != nil {
		k.keep("the keyrings of cluster %q could not be listed: %s", clusterName, hint.OneLine(err.Error()))
		return ctx.Err()
	}
	var names []string
	for i := range all {
		held, ok := keysecret.Read(&all[i])
		if ok && held.IDs[0] == id && held.Ours(k.Project.Keys) && !k.willGo(held.Object) {
			names = append(names, held.Namespace+"/"+held.Name+k.keyringHint(held.Object))
		}
	}
	if len(names) > 0 {
		k.keep("cluster %q: a keyring begins with key %s: %s", clusterName, id, strings.Join(names, ", "))
	}
	return nil
}

// keyringHint is the way out where the newest keyring Secret of its name holds
// only previous keys: nothing that this tool does moves it on.
func (r *retireRun) keyringHint(o manifest.Object) string {
	if slices.ContainsFunc(r.held, func(h keysecret.Held) bool { return h.Object.UID == o.UID }) {
		return " (kubectl fernet rollout moves what names it; delete it yourself if nothing does)"
	}
	return ""
}

// willGo says whether a dry run has an object down as deleted.
func (r *retireRun) willGo(o manifest.Object) bool {
	return r.o.dryRun != dryRunNone && slices.ContainsFunc(r.going(), func(item *retired) bool { return item.Object.UID == o.UID })
}

// reach gives the client of a cluster that the evidence names.
func (r *retireRun) reach(name string) (action.Cluster, error) {
	if name == r.Target.Cluster {
		return r.Cluster, nil
	}
	config, err := r.Target.Other(name)
	if err != nil {
		return nil, err
	}
	return r.machine.Connect(config, r.Trace())
}
