// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile/faultfs"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// fileFaults are what can befall a call of the file system, and which calls: all, where
// none is named.
var fileFaults = []struct {
	name  string
	err   syscall.Errno
	stays bool // until the end of the run
	short int  // so many bytes are written before
	ops   []string
}{
	{"ENOSPC", syscall.ENOSPC, true, 0, []string{"create", "write", "sync", "link", "rename"}},
	{"ENOSPC after 100 bytes", syscall.ENOSPC, true, 100, []string{"write"}},
	{"EIO", syscall.EIO, false, 0, nil},
	{"EROFS", syscall.EROFS, true, 0, []string{"create", "open to write", "chmod", "truncate", "link", "rename", "remove"}},
	{"EACCES", syscall.EACCES, true, 0, []string{"create", "open to write", "open", "stat", "chmod", "link", "rename", "remove"}},
}

// filedVerbs are those of the sweeps whose files are looked at: each way of writing one.
var filedVerbs = []string{"rotate", "rotate a key file", "retire", "push", "restore", "adopt", "pull", "pull a whole file"}

// borne are the calls that a run can do without, and how. All others end it.
var borne = map[faultfs.Call]string{
	{Op: "fstat", Name: ".env" + atomicfile.Suffix}:  "only its owner may then read the new file",
	{Op: "fstat", Name: "keys" + atomicfile.Suffix}:  "only its owner may then read the new file",
	{Op: "link", Name: ".env"}:                       "a rename does it",
	{Op: "remove", Name: ".env" + atomicfile.Suffix}: "the next run cleans up",
}

const (
	// befallVariable holds what befalls a command's calls of the file system: at which of them,
	// and a faultfs.FS without that.
	befallVariable = "FERNET_TEST_FILE_FAULT"
	// callsVariable names the file that gets all of these calls.
	callsVariable = "FERNET_TEST_FILE_CALLS"
)

// fileCase is one run of a verb, of whose calls one fails.
type fileCase struct {
	verb  sweep
	call  faultfs.Call
	nth   int
	fault int // of fileFaults
}

func (c fileCase) String() string {
	return fmt.Sprintf("%s %s %s %d %s", c.verb.name, c.call.Op, c.call.Name, c.nth, fileFaults[c.fault].name)
}

// TestTrustFiles has each kind of call that a verb makes of the file system fail, for each
// reason that it can have. Whatever happens, all that the sweeps hold at every moment holds,
// the ledger has all that it had, what failed is said, and the next run finishes.
func TestTrustFiles(t *testing.T) {
	var all []fileCase
	for _, sw := range sweeps {
		if slices.Contains(filedVerbs, sw.name) {
			all = append(all, sw.fileCases(sw.fileCalls(t))...)
		}
	}
	t.Run("cases", func(t *testing.T) {
		for _, c := range all {
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				c.verb.survives(t, c.befalls)
			})
		}
	})
	testkube.Cases(t, len(all))
}

// fileCalls gives the calls of an undisturbed run.
func (sw sweep) fileCalls(t *testing.T) (calls []faultfs.Call) {
	t.Helper()
	s, file := sw.prepare(t), filepath.Join(t.TempDir(), "calls")
	cmd := s.plugin(testkube.Kubeconfig(t), sw.args(s)...)
	cmd.Env = append(cmd.Env, befallVariable+"=0,{}", callsVariable+"="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("undisturbed: %v\n%s", err, out)
	}
	return callsIn(t, file)
}

func callsIn(t *testing.T, file string) (calls []faultfs.Call) {
	t.Helper()
	if err := json.Unmarshal(read(t, file), &calls); err != nil || len(calls) == 0 {
		t.Fatalf("%d calls, %v", len(calls), err)
	}
	return calls
}

func timesOf(calls []faultfs.Call) map[faultfs.Call]int {
	times := map[faultfs.Call]int{}
	for _, c := range calls {
		times[c]++
	}
	return times
}

// fileCases has each kind of call fail at its first time and at its last, or where their
// number varies at its second.
func (sw sweep) fileCases(calls []faultfs.Call) (cases []fileCase) {
	times := timesOf(calls)
	kinds := slices.SortedFunc(maps.Keys(times), func(a, b faultfs.Call) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Op, b.Op))
	})
	for _, call := range kinds {
		at := []int{1, times[call]}
		if sw.batches {
			at[1] = min(2, times[call])
		}
		for i, fault := range fileFaults {
			if fault.ops != nil && !slices.Contains(fault.ops, call.Op) {
				continue
			}
			for _, nth := range slices.Compact(slices.Clone(at)) {
				cases = append(cases, fileCase{sw, call, nth, i})
			}
		}
	}
	return cases
}

// befalls runs the command with the fault, and says whether it has to be run again.
func (c fileCase) befalls(s *site) bool {
	s.t.Helper()
	fault, file := fileFaults[c.fault], filepath.Join(s.t.TempDir(), "calls")
	setting, err := json.Marshal(befall{Of: c.call, Errno: fault.err, Stays: fault.stays, Short: fault.short})
	if err != nil {
		s.t.Fatal(err)
	}
	recorded := s.bytesOf(ledgerName)
	cmd := s.plugin(testkube.Kubeconfig(s.t), c.verb.args(s)...)
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d,%s", befallVariable, c.nth, setting), callsVariable+"="+file)
	code, stdout, stderr := ran(s.t, cmd)
	if came := timesOf(callsIn(s.t, file))[c.call]; came < c.nth {
		s.t.Errorf("the fault did not befall it: %d such calls", came)
	}
	s.saysWhatFailed(code, stdout+stderr, fault.err, strings.TrimSuffix(c.call.Name, atomicfile.Suffix))
	s.keepsRows(recorded)
	if _, bears := borne[c.call]; code == 0 && !bears {
		s.t.Errorf("exit code 0\n%s", stdout+stderr)
	}
	return code != 0
}

// saysWhatFailed asserts that a run whose files failed it says which and why, and nothing else
// of them.
func (s *site) saysWhatFailed(code int, out string, err syscall.Errno, file string) {
	s.t.Helper()
	s.saysNothing(out, nil)
	if code != 0 && (code != 2 || !strings.Contains(out, file) || !strings.Contains(out, err.Error())) {
		s.t.Errorf("exit code %d, and not %q of %s\n%s", code, err, file, out)
	}
}

// keepsRows asserts that what was in the ledger still is.
func (s *site) keepsRows(recorded string) {
	s.t.Helper()
	if !strings.HasPrefix(s.bytesOf(ledgerName), recorded) {
		s.t.Error("the ledger lost rows")
	}
}

// bytesOf gives what is in a file of the place, nothing where there is none.
func (p place) bytesOf(name string) string {
	p.t.Helper()
	return string(read(p.t, filepath.Join(p.dir, name)))
}

// befall is a faultfs.FS, for a command's environment.
type befall struct {
	Of    faultfs.Call
	Errno syscall.Errno
	Stays bool
	Short int
}

// befallen makes that file system.
func befallen(at int, text string) atomicfile.FS {
	var b befall
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		panic(err)
	}
	return &faultfs.FS{FailAt: at, Of: b.Of, Err: b.Errno, Stays: b.Stays, Short: b.Short}
}

// recordCalls writes the calls that were made down, if the environment says where to.
func recordCalls(files atomicfile.FS) {
	path, asked := os.LookupEnv(callsVariable)
	if !asked {
		return
	}
	data, err := json.Marshal(files.(*faultfs.FS).Calls())
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		panic(err)
	}
}
