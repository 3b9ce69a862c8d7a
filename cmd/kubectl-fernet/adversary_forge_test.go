// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// choice gives one of several texts.
func (d *duel) choice(all ...string) string { return all[d.random.IntN(len(all))] }

// forge adds rows that no key signed, and perhaps removes or repeats others.
func (d *duel) forge() (removed bool) {
	path := filepath.Join(d.ours.dir, ledgerName)
	lines := strings.Split(strings.TrimSuffix(string(read(d.t, path)), "\n"), "\n")
	header, rows := lines[0], lines[1:]
	if d.random.IntN(2) == 0 {
		removed = true
		rows = slices.DeleteFunc(slices.Clone(rows), func(string) bool { return d.random.IntN(8) == 0 })
		d.steps = append(d.steps, fmt.Sprintf("%d of %d rows are removed", len(lines)-1-len(rows), len(lines)-1))
	}
	if name := d.replaced(rows); name != "" && d.random.IntN(2) == 0 {
		removed = true
		rows = slices.DeleteFunc(slices.Clone(rows), func(row string) bool { return strings.Contains(row, name) })
		d.steps = append(d.steps, "all rows of "+name+" are removed")
	}
	for range 1 + d.random.IntN(5) {
		row := d.forged(strings.Split(lines[1+d.random.IntN(len(lines)-1)], ","))
		rows = slices.Insert(rows, d.random.IntN(len(rows)+1), strings.Join(row, ","))
		d.steps = append(d.steps, "forged: "+strings.Join(slices.Concat(row[1:7], row[8:9], []string{"by", row[13][:min(12, len(row[13]))]}), " "))
	}
	if len(rows) > 0 && d.random.IntN(3) == 0 {
		rows = append(rows, rows[d.random.IntN(len(rows))])
	}
	write(d.t, path, header+"\n"+strings.Join(rows, "\n")+"\n")
	return removed
}

// replaced finds a Secret of ours that came after another one of its entry: without its
// rows the ledger has an older value. It gives NAMESPACE,SECRET, as rows have it.
func (d *duel) replaced(rows []string) string {
	for _, row := range slices.Backward(rows) {
		cells := strings.Split(row, ",")
		if base, generation := names.Split(cells[5]); generation > 1 && cells[2] == "created" && slices.Contains(d.ours.bases(), base) {
			return "," + cells[4] + "," + cells[5] + ","
		}
	}
	return ""
}

// forged makes another row of a row: all but what a mac shows is as it should be.
func (d *duel) forged(cells []string) []string {
	ids := d.ring().IDs()
	cells = slices.Clone(cells)
	cells[2] = d.choice("planned", "failed", "created", "deleted", "deleted")
	cells[3] = d.choice("localkube", "localkube", "localkube", "evil")
	cells[4] = d.choice(cells[4], cells[4], d.namespaces[0], "kube-system")
	base, generation := names.Split(cells[5])
	generation = []int{generation, 1, 2, generation + 1, 999, 999_999_999}[d.random.IntN(6)]
	if d.random.IntN(3) == 0 {
		base, cells[7] = d.ours.bases()[0], "SECRET_A"
	}
	cells[6], cells[12] = strconv.Itoa(generation), "1"
	cells[8] = d.choice(cells[8], "kdeadbee1", ids[0], ids[len(ids)-1])
	if d.random.IntN(3) == 0 {
		other := d.old[d.random.IntN(len(d.old))]
		if o := manifest.FromSecret(&other); o.Token != "" && o.Binding != "" {
			entries := o.Placed().Entries()
			cells[9], cells[10] = entries[d.random.IntN(len(entries))].Token, o.Binding
		}
	}
	d.fit(cells, base, generation)
	if cells[11] == "" || d.random.IntN(2) == 0 {
		cells[11] = fmt.Sprintf("00000000-0000-4000-8000-%012d", d.random.IntN(1000))
	}
	var sum [16]byte
	for i := range sum {
		sum[i] = byte(d.random.Uint32())
	}
	mac := base64.RawURLEncoding.EncodeToString(sum[:])
	cells[13] = d.choice("", "v1:kdeadbee1:"+mac, "v1:kdeadbee1:"+mac, "v1:"+ids[0]+":"+mac, "v1:"+ids[len(ids)-1]+":"+mac, cells[13])
	d.named[base] = true
	return cells
}

// fit makes cells those of a row that a ledger may have: about an entry, or about a whole
// bundle, as its binding says. A planned row may put an entry into a bundle that is there.
func (d *duel) fit(cells []string, base string, generation int) {
	bundle := token.Bundled(cells[10])
	if cells[5] = names.Secret(base, generation); bundle {
		cells[5] = names.Numbered(base, generation)
	}
	if bundle && (cells[2] != "planned" || d.random.IntN(3) == 0) {
		cells[7], cells[9] = "", ""
		return
	}
	if cells[7] == "" || bundle && d.random.IntN(2) == 0 {
		cells[7] = d.choice(append([]string{"SECRET_FORGED"}, d.ours.entries...)...)
	}
	if cells[9] == "" || bundle && d.random.IntN(2) == 0 {
		cells[9] = d.oldToken()
	}
}

// oldToken gives a token that was somewhere.
func (d *duel) oldToken() string {
	var tokens []string
	for _, s := range d.old {
		for _, e := range manifest.FromSecret(&s).Placed().Entries() {
			tokens = append(tokens, e.Token)
		}
	}
	return d.choice(tokens...)
}

// meddle is what somebody does who may write Secrets.
func (d *duel) meddle() (meddled bool) {
	for range d.random.IntN(6) {
		meddled = true
		all := d.there()
		maps.DeleteFunc(all, func(at string, _ corev1.Secret) bool { return strings.HasPrefix(at, "kube-system/") })
		if len(all) == 0 {
			return meddled
		}
		at := d.choice(slices.Sorted(maps.Keys(all))...)
		s, other := all[at], d.old[d.random.IntN(len(d.old))]
		var step string
		switch d.random.IntN(5) {
		case 0: // a copy elsewhere, with its annotations or without
			base, generation := names.Split(s.Name)
			name := names.Secret
			if s.Labels[manifest.LabelKind] == manifest.KindBundle {
				name = names.Numbered
			}
			s.Name, s.Namespace = name(d.choice(base, "secret-a", "secret-b", "web"), []int{generation, 1, 2, 3, generation + 1}[d.random.IntN(5)]), d.namespaces[d.random.IntN(2)]
			if d.random.IntN(2) == 0 {
				delete(s.Annotations, manifest.AnnotationBinding)
			}
			step = "copy " + at + " to " + s.Name
			d.put(s)
		case 1:
			s.Annotations = maps.Clone(s.Annotations)
			s.Annotations[manifest.AnnotationBinding] = d.choice("", other.Annotations[manifest.AnnotationBinding])
			step = "another binding of " + at
			d.update(s)
		case 2:
			s.Labels = map[string]string{manifest.LabelManagedBy: d.choice("", manifest.ManagedBy), manifest.LabelKeyID: d.choice("", "kdeadbee1")}
			step = "other labels of " + at
			d.update(s)
		case 3: // the tokens of another generation, or of another Secret
			_ = d.secrets(s.Namespace).Delete(context.Background(), s.Name, metav1.DeleteOptions{})
			s.Data = maps.Clone(s.Data)
			for name, value := range other.Data {
				if _, there := s.Data[name]; there || s.Labels[manifest.LabelKind] == manifest.KindBundle {
					s.Data[name] = value
				}
			}
			step = "tokens of " + other.Name + " in " + at
			d.put(s)
		default:
			step = "put back " + other.Name
			d.put(other)
		}
		d.steps = append(d.steps, "meddling: "+step)
	}
	return meddled
}

func (d *duel) put(s corev1.Secret) {
	s.ObjectMeta = metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, Labels: s.Labels, Annotations: s.Annotations}
	_, _ = d.secrets(s.Namespace).Create(context.Background(), &s, metav1.CreateOptions{}) // the name may be taken
}

func (d *duel) update(s corev1.Secret) {
	if _, err := d.secrets(s.Namespace).Update(context.Background(), &s, metav1.UpdateOptions{}); err != nil {
		d.t.Fatal(err)
	}
}
