// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keysecret"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// KeyDrop is about to take the previous keys out of their file.
type KeyDrop struct {
	Keys    []string // their ids; none: there is nothing to drop
	Path    string   // of the file
	Reasons []Kept   // why they stay; with one, Apply is not to be called

	plan  *RetirePlan
	alone token.Judge // opens what opens with KEY alone
	edit  Edited
	ended []ledger.Row // of what is gone: written before the keys go
}

// Kept is a reason to keep a key, and the way out where there is one.
type Kept struct {
	Reason string
	Way    hint.Text
}

// keySite is a cluster that is searched for what needs the keys.
type keySite struct {
	name    string
	cluster Cluster
	flag    hint.Text // names its context, if it is not the target's
	plan.Presence
}

func (site *keySite) place(namespace string) string {
	return fmt.Sprintf("namespace %q of cluster %q", namespace, site.name)
}

// DropKeys searches for reasons to keep the previous keys. They go only if it is proven that
// nothing which the ledger's evidence has, or that the clusters show, needs them.
func (p *RetirePlan) DropKeys(ctx context.Context) (*KeyDrop, error) {
	s := p.session
	d := &KeyDrop{plan: p, Keys: s.Project.Keys.Previous(), alone: seal.New(s.Project.Keys.Alone(), nil).Judge}
	if len(d.Keys) == 0 {
		return d, nil
	}
	holder, err := s.keyHolder()
	if err != nil {
		s.note("the previous keys stay: %v", err)
		return &KeyDrop{}, nil
	}
	d.Path = holder.Path
	if err := d.search(ctx); err != nil {
		return nil, err
	}
	if d.Reasons = slices.Compact(d.Reasons); len(d.Reasons) == 0 && s.Mode == Live {
		d.edit, err = holder.Edit(keyring.Drop(holder.File))
	}
	return d, err
}

// Apply writes what the ledger still lacks, and then takes the keys out of the file.
func (d *KeyDrop) Apply() error {
	s := d.plan.session
	if s.Mode != Live {
		return nil
	}
	now := s.Now().UTC()
	for i := range d.ended {
		d.ended[i].Time = now
	}
	if err := s.record(d.ended...); err != nil {
		return err
	}
	return s.save(d.edit)
}

// Holding gives the keyring Secrets that still have what the file has not any more.
func (d *KeyDrop) Holding() (held []manifest.Object) {
	for _, k := range d.plan.keyrings {
		if slices.ContainsFunc(k.IDs, func(id string) bool { return slices.Contains(d.Keys, id) }) {
			held = append(held, k.Object)
		}
	}
	return held
}

func (d *KeyDrop) keep(format string, args ...any) {
	d.Reasons = append(d.Reasons, Kept{Reason: fmt.Sprintf(format, args...)})
}

// unless gives the way out of the last reason.
func (d *KeyDrop) unless(way hint.Text) { d.Reasons[len(d.Reasons)-1].Way = way }

// search looks into the files, at each namespace of each cluster that the evidence has, and
// then for copies elsewhere.
func (d *KeyDrop) search(ctx context.Context) error {
	s := d.plan.session
	d.files()
	if s.Blank {
		d.keep("%s had nothing before this run, so where else the key is needed is not known", s.Ledger)
	}
	sites, err := d.recorded(ctx)
	if err != nil {
		return err
	}
	for _, site := range sites {
		if site.Another() {
			d.keep("cluster %q has none of the Secrets that the ledger recorded there, so it may be another one", site.name)
			d.unless(d.forgetting(site.name))
		}
	}
	for _, site := range sites {
		if site.cluster == nil {
			continue
		}
		if err := d.everywhere(ctx, site); err != nil {
			return err
		}
	}
	return nil
}

// recorded looks at what the evidence has, cluster by cluster.
func (d *KeyDrop) recorded(ctx context.Context) (sites []*keySite, err error) {
	book := d.plan.session.refresh()
	for _, name := range d.clusters(book) {
		if slices.Contains(d.plan.verb.Forget, name) {
			d.forget(book, name)
			continue
		}
		site := &keySite{name: name}
		sites = append(sites, site)
		if err := d.reach(site); err != nil {
			d.keep("cluster %q of the ledger was not reached: %s", name, hint.OneLine(err.Error()))
			d.unless(d.forgetting(name))
			continue
		}
		if err := d.places(ctx, site, book); err != nil {
			return nil, err
		}
	}
	return sites, nil
}

// reach connects to a cluster that the evidence names.
func (d *KeyDrop) reach(site *keySite) error {
	s := d.plan.session
	if site.name == s.Target.Cluster {
		site.cluster = s.Cluster
		return nil
	}
	context, config, err := s.Target.Other(site.name)
	if err != nil {
		return err
	}
	site.flag = hint.Format(" --context %s", context)
	site.cluster, err = s.Connect(config, s.trace(), s.Parallel)
	return err
}

// forgetting is the way out of a cluster that cannot be looked at, but for the target's.
func (d *KeyDrop) forgetting(name string) hint.Text {
	if name == d.plan.session.Target.Cluster {
		return ""
	}
	return hint.Format("--forget-cluster %s if it is gone for good", name)
}

// files looks at the .env and at the ledger: a stale value could not be compared any more,
// and what an edited row was about is not known.
func (d *KeyDrop) files() {
	s := d.plan.session
	for _, view := range d.plan.views {
		for _, stale := range plan.Stales(view, view.Wanted, s.Project.Sealer.Judge, s.Project.Keys) {
			if gone := stale.Returned(); len(gone) == len(stale.Stale) {
				d.keep("%s has %s, which left secret/%s in namespace %q: take it out, or kubectl fernet push%s --revert %s", s.Env, hint.Few(gone), stale.Row.Secret, stale.Row.Namespace, s.Aimed(stale.Row.Namespace), strings.Join(gone, ","))
				continue
			}
			d.keep("%s has an older value of %s than secret/%s in namespace %q: kubectl fernet pull%s --force", s.Env, hint.Few(stale.Stale), stale.Row.Secret, stale.Row.Namespace, s.Aimed(stale.Row.Namespace))
		}
	}
	for _, id := range d.Keys {
		if line := s.Book.EditedKey(id); line > 0 {
			d.keep("%s:%d was edited and names key %s: take that line from git, or delete it", s.Ledger, line, id)
		}
	}
}

// clusters are those of the evidence, and the target's, also where the ledger has
// nothing of it: it may not be the whole one.
func (d *KeyDrop) clusters(book *ledger.Book) []string {
	names := append(book.Clusters(), d.plan.session.Target.Cluster)
	slices.Sort(names)
	return slices.Compact(names)
}

func (d *KeyDrop) namespaces(book *ledger.Book, clusterName string) []string {
	names := book.Proven(clusterName) // others may not exist, or be none of ours
	if at := d.plan.session.Target; clusterName == at.Cluster {
		names = append(names, at.Namespaces...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// forget ends all records of a cluster that is gone for good.
func (d *KeyDrop) forget(book *ledger.Book, name string) {
	for _, namespace := range book.Namespaces(name) {
		records, past := book.At(name, namespace)
		use := plan.UseOfKeys(plan.NewView(name, namespace, records, past, nil, nil), d.Keys, d.plan.session.Project.Sealer.Judge, d.alone, nil, true)
		d.ended = append(d.ended, use.Close...)
	}
}

// placed is what a look at every Secret gave that the evidence has in one namespace.
type placed struct {
	names map[string]bool
	sight cluster.Sight
	err   error
}

// evidenceOf names the Secrets that the evidence has in a namespace.
func evidenceOf(book *ledger.Book, clusterName, namespace string) map[string]bool {
	names := map[string]bool{}
	records, _ := book.At(clusterName, namespace)
	for _, record := range records {
		if !record.Hint && (record.State == ledger.Created || record.State == ledger.Planned) {
			names[record.Secret] = true
		}
	}
	return names
}

// places looks at every Secret that the evidence has in one cluster.
func (d *KeyDrop) places(ctx context.Context, site *keySite, book *ledger.Book) error {
	namespaces := d.namespaces(book, site.name)
	looks := inEach(d.plan.session, namespaces, func(namespace string) placed {
		names := evidenceOf(book, site.name, namespace)
		if len(names) == 0 {
			return placed{}
		}
		sight, err := site.cluster.Observe(ctx, namespace, manifest.Interest{Names: names})
		return placed{names, sight, err}
	})
	for i, namespace := range namespaces {
		if len(looks[i].names) == 0 {
			continue
		}
		if err := d.place(ctx, site, book, namespace, looks[i]); err != nil {
			return err
		}
	}
	return nil
}

// place judges what a look at one namespace gave.
func (d *KeyDrop) place(ctx context.Context, site *keySite, book *ledger.Book, namespace string, look placed) error {
	s := d.plan.session
	where := site.place(namespace)
	if site.Asked = true; look.err != nil {
		site.Unseen = true
		d.keep("%s could not be looked at: %s", where, hint.OneLine(look.err.Error()))
		d.unless(d.forgetting(site.name))
		return ctx.Err()
	}
	objects := look.sight.Objects
	site.Found += len(objects)
	forgotten := site.name == s.Target.Cluster && slices.Contains(d.plan.verb.ForgetNamespaces, namespace)
	records, past := book.At(site.name, namespace)
	use := plan.UseOfKeys(plan.NewView(site.name, namespace, records, past, objects, nil), d.Keys, s.Project.Sealer.Judge, d.alone, d.willGo, forgotten)
	d.ended = append(d.ended, use.Close...)
	d.used(site, namespace, use)
	return nil
}

// used keeps the keys for what one namespace still needs them for.
func (d *KeyDrop) used(site *keySite, namespace string, use plan.KeyUse) {
	where, flag := site.place(namespace), site.flag+d.plan.session.Flags()
	if len(use.Lost) > 0 {
		d.keep("%s: gone, and comes back only with a previous key: %s", where, secrets(use.Lost))
		if site.flag == "" {
			d.unless(hint.Format("kubectl fernet restore -n %s%s, then kubectl fernet rotate%s; or --forget-namespace %s if it is gone for good", namespace, flag, flag, namespace))
		} else {
			d.unless(hint.Format("kubectl fernet restore -n %s%s, then kubectl fernet rotate%s", namespace, flag, flag))
		}
	}
	if len(use.Opened) > 0 {
		d.keep("still needed in %s by %s", where, secrets(use.Opened))
	}
	if len(use.Planned) > 0 {
		d.keep("%s: planned under a previous key, and may still be created: %s; kubectl fernet rotate%s --new-key makes a newer generation", where, secrets(use.Planned), flag)
	}
}

func secrets(names []string) string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = "secret/" + name
	}
	return hint.Few(out)
}

// everywhere looks at all Secrets of a cluster that carry the id of a previous key.
func (d *KeyDrop) everywhere(ctx context.Context, site *keySite) error {
	if d.plan.verb.SkipClusterCheck {
		return d.looked(ctx, site)
	}
	for _, id := range d.Keys {
		found, err := site.cluster.Labelled(ctx, "", manifest.LabelKeyID+"="+id)
		if err != nil {
			d.keep("the Secrets of all namespaces of cluster %q could not be listed, so a copy elsewhere is not ruled out: %s", site.name, hint.OneLine(err.Error()))
			d.unless("--skip-cluster-check if nobody copies Secrets to other namespaces there")
			return ctx.Err()
		}
		if err := d.copies(ctx, site, "", id, found); err != nil {
			return err
		}
	}
	return nil
}

// looked is everywhere for the namespaces that are looked at anyway.
func (d *KeyDrop) looked(ctx context.Context, site *keySite) error {
	for _, namespace := range d.namespaces(d.plan.session.Book, site.name) {
		for _, id := range d.Keys {
			found, err := site.cluster.Labelled(ctx, namespace, manifest.LabelKeyID+"="+id)
			if err != nil {
				d.keep("namespace %q of cluster %q could not be listed: %s", namespace, site.name, hint.OneLine(err.Error()))
				return ctx.Err()
			}
			if err := d.copies(ctx, site, namespace, id, found); err != nil {
				return err
			}
		}
	}
	return nil
}

// copies judges the Secrets that carry the id of a previous key, in one namespace or with
// "" in all.
func (d *KeyDrop) copies(ctx context.Context, site *keySite, namespace, id string, found []manifest.Object) error {
	s := d.plan.session
	copies := plan.CopiesIn(found, id, s.Project.Sealer.Judge, d.willGo, d.plan.verb.Ignore.Copies)
	d.needed(site.name, id, copies)
	if len(copies.Mirrored) > 0 {
		d.keep("cluster %q: opens with key %s, and was made for another place: %s", site.name, id, hint.Few(copies.Mirrored))
		d.unless(hint.Format("copy the current generation there; or --ignore %s if nothing opens it any more", copies.Mirrored[0]))
	}
	if len(copies.Foreign) > 0 {
		s.note("cluster %q: labelled with key %s, and not opened by it: %s", site.name, id, hint.Few(copies.Foreign))
	}
	if !copies.Keyrings {
		return nil
	}
	return d.keyringsUnder(ctx, site, namespace, id)
}

// needed keeps a key for Secrets of ours.
func (d *KeyDrop) needed(clusterName, id string, copies plan.Copies) {
	if len(copies.Ours) == 0 {
		return
	}
	var names []string
	for _, o := range copies.Ours {
		names = append(names, o.Namespace+"/"+o.Name)
	}
	d.keep("cluster %q: opens with key %s: %s", clusterName, id, hint.Few(names))
	if len(copies.Spared) > 0 {
		d.plan.session.note("--ignore is for copies; this was made for its place: %s", hint.Few(copies.Spared))
	}
	d.unless(d.moving(copies.Ours))
}

// moving is the way out of Secrets of ours that still need a previous key: those of
// another namespace, or of another .env with the same KEY.
func (d *KeyDrop) moving(ours []manifest.Object) hint.Text {
	s := d.plan.session
	o, way := plan.WayOf(ours, s.Target.Namespaces, func(o manifest.Object) bool {
		return slices.ContainsFunc(s.recordsIn(o.Namespace), func(r ledger.Record) bool { return r.Secret == o.Name && !r.Hint })
	})
	switch flag := s.Flags(); way {
	case plan.RotateThere:
		return hint.Format("kubectl fernet rotate -n %s%s gives it a generation under KEY; then kubectl fernet retire -n %s%s", o.Namespace, flag, o.Namespace, flag)
	case plan.RotateByOwner:
		return hint.Format("secret/%s is not in this ledger: rotate it with the .env that it is from; or kubectl fernet adopt %s -n %s%s, then rotate", o.Name, o.Name, o.Namespace, flag)
	default:
		return ""
	}
}

// keyringsUnder names the keyring Secrets of ours whose first key is a previous one.
func (d *KeyDrop) keyringsUnder(ctx context.Context, site *keySite, namespace, id string) error {
	all, err := site.cluster.Keyrings(ctx, namespace)
	if err != nil {
		d.keep("the keyrings of cluster %q could not be listed: %s", site.name, hint.OneLine(err.Error()))
		return ctx.Err()
	}
	var names []string
	for i := range all {
		held, ok := keysecret.Read(&all[i])
		if ok && held.IDs[0] == id && held.Ours(d.plan.session.Project.Keys) && !d.willGo(held.Object) {
			names = append(names, held.Namespace+"/"+held.Name+d.keyringHint(held.Object))
		}
	}
	if len(names) > 0 {
		d.keep("cluster %q: a keyring begins with key %s: %s", site.name, id, strings.Join(names, ", "))
	}
	return nil
}

// keyringHint is the way out where the newest keyring Secret of its name holds only
// previous keys: nothing that this tool does moves it on.
func (d *KeyDrop) keyringHint(o manifest.Object) string {
	if slices.ContainsFunc(d.plan.keyrings, func(h keysecret.Held) bool { return h.Object.UID == o.UID }) {
		return " (kubectl fernet rollout moves what names it; delete it yourself if nothing does)"
	}
	return ""
}

// willGo says whether a dry run has an object down as deleted.
func (d *KeyDrop) willGo(o manifest.Object) bool {
	return d.plan.session.Mode != Live && slices.ContainsFunc(d.plan.Doomed(), func(item *Retired) bool { return item.Object.UID == o.UID })
}
