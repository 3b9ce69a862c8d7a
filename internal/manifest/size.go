// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// The limits of one Secret, in bytes.
const (
	// MaxData is the most data: the API server adds up the values, and takes exactly 1 MiB.
	MaxData = 1 << 20
	// MaxObject is the most that the whole object may have, as Size counts it. etcd refuses
	// requests over 1.5 MiB. Measured, with names of 60 to 253 characters: the API server
	// stores what has up to 1,572,400 bytes. It leaves the managed fields out, which have each
	// data key once more, where they would be too much. What is left is for what it and
	// its webhooks add.
	MaxObject = 14 << 20 / 10 // 1.4 MiB
)

// Size gives, in bytes, what the API server stores of a Secret, without what it adds.
func Size(row ledger.Row) int { return Secret(row).Size() }

// CheckSize refuses a row whose Secret the API server would not take. Of a bundle the
// error names the largest entries.
func CheckSize(row ledger.Row) error {
	data, entries := 0, row.Placed().Entries()
	for _, e := range entries {
		data += len(e.Token)
	}
	problem := ""
	switch {
	case data > MaxData:
		problem = fmt.Sprintf("its data has %d bytes, a Secret holds %d", data, MaxData)
	case row.Bundle() && Size(row) > MaxObject:
		problem = fmt.Sprintf("with its names it has %d bytes, of which %d fit into etcd", Size(row), MaxObject)
	default:
		return nil
	}
	if !row.Bundle() {
		return fmt.Errorf("%s: %s", row.EnvKey, problem)
	}
	base := strings.TrimSuffix(row.Secret, fmt.Sprintf("-g%d", row.Generation))
	return hint.With(fmt.Errorf("bundle %s: %s; its largest entries are %s", base, problem, largest(entries)),
		"give some of them an .env of their own: another .env makes another bundle")
}

// largest names the entries with the longest tokens.
func largest(entries []token.Entry) string {
	slices.SortStableFunc(entries, func(a, b token.Entry) int {
		return cmp.Or(cmp.Compare(len(b.Token)+len(b.Name), len(a.Token)+len(a.Name)), strings.Compare(a.Name, b.Name))
	})
	var texts []string
	for _, e := range entries[:min(3, len(entries))] {
		texts = append(texts, fmt.Sprintf("%s (%d bytes)", e.Name, len(e.Token)))
	}
	return strings.Join(texts, ", ")
}
