// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cluster"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/manifest"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// tokenOf gives a token of the right form with so many blocks.
func tokenOf(n, blocks int) string {
	raw := make([]byte, 57+16*blocks)
	raw[0] = 0x80
	binary.BigEndian.PutUint32(raw[len(raw)-4:], uint32(n))
	return base64.URLEncoding.EncodeToString(raw)
}

// set gives a row of a bundle with a token of so many blocks for each entry, whose names
// have so many bytes.
func (l lab) set(name int, blocks ...int) ledger.Row {
	entries := make([]token.Entry, len(blocks))
	for i, n := range blocks {
		entries[i] = token.Entry{Name: fmt.Sprintf("S%0*d", name-1, i), Token: tokenOf(i, n)}
	}
	return ledger.Row{
		Namespace: l.namespace, Secret: "web-g1", Generation: 1, KeyID: "kab12cd34", Token: token.Join(entries),
		Binding: fmt.Sprintf("v2:%d:", len(entries)) + strings.Repeat("A", 43),
	}
}

// blocksFrom gives the blocks of three tokens that have so many bytes together, or the
// next larger number that three can have.
func blocksFrom(size int) []int {
	length := func(blocks int) int { return base64.URLEncoding.EncodedLen(57 + 16*blocks) }
	for ; ; size++ {
		for pick := range 9 {
			first, second := 1+pick%3, 20_000+pick/3
			rest := size - length(first) - length(second)
			if third := sort.Search(60_000, func(n int) bool { return length(n) >= rest }); length(third) == rest {
				return []int{first, second, third}
			}
		}
	}
}

func dataOf(row ledger.Row) (size int) {
	for _, e := range row.Placed().Entries() {
		size += len(e.Token)
	}
	return size
}

// The largest bundle that passes is accepted by the API server; the next larger one is
// refused before there is a request.
func TestTheLargestBundles(t *testing.T) {
	same := func(n int) []int { return slices.Repeat([]int{1}, n) }
	longest := func(l lab, name int) int {
		return sort.Search(20_000, func(n int) bool { return manifest.CheckSize(l.set(name, same(n+1)...)) != nil })
	}
	for _, tt := range []struct {
		name          string
		largest, next func(l lab) ledger.Row
		data          int // of the largest; 0 where that is not the limit
		problem       string
	}{
		{"few large entries: exactly 1 MiB of data",
			func(l lab) ledger.Row { return l.set(20, blocksFrom(manifest.MaxData)...) },
			func(l lab) ledger.Row { return l.set(20, blocksFrom(manifest.MaxData+1)...) },
			manifest.MaxData, "its data has 1048592 bytes, a Secret holds 1048576"},
		{"many small entries: the data",
			func(l lab) ledger.Row { return l.set(20, same(longest(l, 20))...) },
			func(l lab) ledger.Row { return l.set(20, same(longest(l, 20)+1)...) },
			1048500, "its data has 1048600 bytes"},
		{"thousands of entries with names of 200 characters: the object",
			func(l lab) ledger.Row { return l.set(200, same(longest(l, 200))...) },
			func(l lab) ledger.Row { return l.set(200, same(longest(l, 200)+1)...) },
			0, "with its names it has 1468"},
		{"the longest names",
			func(l lab) ledger.Row { return l.set(253, same(longest(l, 253))...) },
			func(l lab) ledger.Row { return l.set(253, same(longest(l, 253)+1)...) },
			0, "with its names it has 1468"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			row := tt.largest(l)
			if err := manifest.CheckSize(row); err != nil {
				t.Fatal(err)
			}
			if r := l.client.Create(t.Context(), row, false); r.Fate != cluster.Landed || !r.Object.Carries(row) {
				t.Errorf("fate %d, %v", r.Fate, r.Err)
			}
			if tt.data > 0 && dataOf(row) != tt.data {
				t.Errorf("%d bytes of data, want %d", dataOf(row), tt.data)
			}
			err := manifest.CheckSize(tt.next(l))
			if err == nil || !strings.Contains(err.Error(), tt.problem) || !strings.Contains(err.Error(), "its largest entries are S0") {
				t.Errorf("the next larger one: %.300v, want %q", err, tt.problem)
			}
			if !strings.Contains(string(hint.Of(err)), "another .env makes another bundle") {
				t.Errorf("hint %q", hint.Of(err))
			}
		})
	}
}

// What the API server itself does not take, which is why there are limits: a byte of data
// more than 1 MiB, and an object of more than 1.5 MiB.
func TestTheAPIServersOwnLimits(t *testing.T) {
	l := newLab(t)
	for name, row := range map[string]ledger.Row{
		"Too long: may not be more than 1048576 bytes": l.set(20, blocksFrom(manifest.MaxData+1)...),
		"request is too large":                         l.set(200, slices.Repeat([]int{1}, 5200)...),
	} {
		if r := l.client.Create(t.Context(), row, false); r.Fate == cluster.Landed || !strings.Contains(fmt.Sprint(r.Err), name) {
			t.Errorf("fate %d, %v; want %q", r.Fate, r.Err, name)
		}
	}
}
