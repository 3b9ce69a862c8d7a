// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile/faultfs"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
)

// rowNumber gives a row that the ledger takes.
func rowNumber(n int) ledger.Row {
	return ledger.Row{
		Time: time.Now(), Operation: ledger.Push, State: ledger.Created, Cluster: "c", Namespace: "ns", Secret: fmt.Sprintf("secret-%d", n), Generation: 1,
		EnvKey: fmt.Sprintf("SECRET-%d", n), KeyID: "k0123abcd", Token: testToken, Since: 1, UID: fmt.Sprintf("%08x-1111-4222-8333-%012x", n, n),
	}
}

const ledgerPath = "fernet-ledger.csv"

// newLedger opens a new ledger in an empty folder, on a file system that fails
// at a call.
func newLedger(t *testing.T, failAt int) (*ledger.Ledger, *faultfs.FS) {
	t.Helper()
	emptyFolder(t)
	guard, err := ledger.Lock(ledgerPath)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guard.Unlock() })
	fsys := &faultfs.FS{FailAt: failAt}
	l, err := ledger.Open(fsys, ledgerPath, guard, ledger.Keys{})
	if err != nil {
		t.Fatal(err)
	}
	return l, fsys
}

// recorderOf is that of a run with this ledger.
func recorderOf(l *ledger.Ledger, capacity int) *recorder {
	return (&Session{ledger: l}).recorder(capacity)
}

func writes(fsys *faultfs.FS) (n int) {
	for _, call := range fsys.Calls() {
		if call.Op == "write" {
			n++
		}
	}
	return n
}

// wantRecorded reads the ledger's file and looks for the rows 0 to n-1, once each.
func wantRecorded(t *testing.T, n int) {
	t.Helper()
	rows, _, err := ledger.Parse(ledgerPath, []byte(get(t, ledgerPath)))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, row := range rows {
		names[row.Secret] = true
	}
	for i := range n {
		if !names[rowNumber(i).Secret] {
			t.Errorf("row %d is lost", i)
		}
	}
	if len(rows) != n {
		t.Errorf("%d rows, want %d", len(rows), n)
	}
}

// TestRecorderGathers runs in a bubble, where time passes only when everybody waits.
func TestRecorderGathers(t *testing.T) {
	l, fsys := newLedger(t, 0)
	synctest.Test(t, func(t *testing.T) {
		r := recorderOf(l, 10)
		for i, step := range []struct {
			wait   time.Duration // before the row
			writes int           // when the row has been added
		}{{0, 0}, {0, 0}, {batchPause - 1, 0}, {2, 1}, {batchPause - 2, 1}, {time.Hour, 2}, {0, 2}} {
			time.Sleep(step.wait)
			r.add(rowNumber(i))
			synctest.Wait()
			if got := writes(fsys); got != step.writes {
				t.Errorf("row %d: %d writes, want %d", i, got, step.writes)
			}
		}
		before := time.Now()
		if err := r.finish(); err != nil {
			t.Error(err)
		}
		if waited := time.Since(before); waited > 0 || writes(fsys) != 3 {
			t.Errorf("closed after %s with %d writes", waited, writes(fsys))
		}
	})
	wantRecorded(t, 7)
}

func TestRecorderLosesNothing(t *testing.T) {
	const workers, each = 8, 50
	l, fsys := newLedger(t, 0)
	r := recorderOf(l, workers*each)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for i := range each {
				r.add(rowNumber(w*each + i))
			}
		})
	}
	group.Wait()
	if err := r.finish(); err != nil {
		t.Fatal(err)
	}
	wantRecorded(t, workers*each)
	if n := writes(fsys); n > workers*each/10 {
		t.Errorf("%d writes for %d rows", n, workers*each)
	}
}

func TestRecorderOfNothing(t *testing.T) {
	l, fsys := newLedger(t, 0)
	before := len(fsys.Calls())
	if err := recorderOf(l, 0).finish(); err != nil {
		t.Error(err)
	}
	if n := len(fsys.Calls()); n != before {
		t.Errorf("%d calls to the file system", n-before)
	}
}

// TestRecorderKeepsItsError fails the write of the first batch; later rows are
// taken and dropped, so that no create waits.
func TestRecorderKeepsItsError(t *testing.T) {
	for _, c := range []struct{ spoilt, recorded int }{{1, 0}, {2, 2}} {
		l, fsys := newLedger(t, 0)
		synctest.Test(t, func(t *testing.T) {
			r := recorderOf(l, 1)
			for i := range 6 {
				if i == 2*(c.spoilt-1) {
					fsys.FailAt = len(fsys.Calls()) + 3 // after open and fstat
				}
				r.add(rowNumber(i))
				if i%2 == 1 {
					time.Sleep(2 * batchPause)
					synctest.Wait()
				}
			}
			if err := r.finish(); !errors.Is(err, faultfs.ErrFault) {
				t.Errorf("batch %d: %v", c.spoilt, err)
			}
		})
		if got := writes(fsys); got != c.spoilt {
			t.Errorf("batch %d: %d writes", c.spoilt, got)
		}
		wantRecorded(t, c.recorded)
	}
}
