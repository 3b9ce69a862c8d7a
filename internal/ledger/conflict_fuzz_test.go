// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"encoding/csv"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
)

// FuzzConflict takes the rows that two branches added, each byte one of them, and merges them as
// git does: with its marks, which are refused by their first line, and as somebody resolves
// that, who takes the marks out. All rows are then there, and encoding/csv reads the same cells.
func FuzzConflict(f *testing.F) {
	f.Add([]byte{1}, []byte{2}, []byte{3}, "HEAD", "theirs", false, false)
	f.Add([]byte{1, 2, 3}, []byte{130}, []byte{4, 5}, "HEAD", "origin/main", true, false)
	f.Add([]byte{}, []byte{1, 129}, []byte{1}, "", "", false, true)
	f.Add([]byte{9}, []byte{}, []byte{7}, "a,b", `"x`, true, true)
	f.Fuzz(func(t *testing.T, common, ours, theirs []byte, here, there string, diff3, crlf bool) {
		if len(common)+len(ours)+len(theirs) > 40 || strings.ContainsAny(here+there, "\n\r") {
			return
		}
		end := "\n"
		if crlf {
			end = "\r\n"
		}
		write := func(text string) []byte { return []byte(strings.ReplaceAll(text, "\n", end)) }
		base := ""
		if diff3 {
			base = "||||||| 1a2b3c4\n"
		}
		text := header + added(common) + "<<<<<<< " + here + "\n" + added(ours) + base + "=======\n" + added(theirs) + ">>>>>>> " + there + "\n"
		_, _, err := ledger.Parse("x.csv", write(text))
		var e *ledger.Error
		if !errors.As(err, &e) || e.Line != 2+len(common) || !strings.Contains(e.Message, "merge conflict") || e.Way == "" {
			t.Fatalf("a conflict in line %d: %v", 2+len(common), err)
		}
		resolved := write(header + added(common) + added(ours) + added(theirs))
		rows, tail, err := ledger.Parse("x.csv", resolved)
		cells, csvErr := csv.NewReader(strings.NewReader(string(resolved))).ReadAll()
		if err != nil || csvErr != nil || tail != 0 || len(rows) != len(cells)-1 {
			t.Fatalf("resolved: %d rows, %v; encoding/csv reads %d, %v", len(rows), err, len(cells)-1, csvErr)
		}
		for i, n := range append(append(common[:len(common):len(common)], ours...), theirs...) {
			want := rowOf(n)
			if want.Line = i + 2; !reflect.DeepEqual(rows[i], want) || cells[i+1][5] != want.Secret || cells[i+1][9] != want.Token {
				t.Errorf("row %d is %+v", i, rows[i])
			}
		}
	})
}

// rowOf is a row about the Secret with the number n, above 128 its created one.
func rowOf(n byte) ledger.Row {
	if n > 128 {
		return created(int(n - 128))
	}
	return planned(int(n))
}

func added(numbers []byte) (lines string) {
	for _, n := range numbers {
		lines += line(rowOf(n))
	}
	return lines
}
