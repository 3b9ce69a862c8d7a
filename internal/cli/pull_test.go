// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
)

const hintForce = "hint: to take the recorded values: kubectl fernet pull --force\n"

// pushed is what the ledger of the tests below has.
var pushed = []fact{
	{cluster: "c", namespace: "ns", name: "SECRET_B", value: "two " + canary, generation: 1},
	{cluster: "c", namespace: "ns", name: "SECRET_A", value: "one", generation: 1},
}

// Whatever a file has, no byte of it changes without --force; what it lacks is
// added in the ledger's order, and a second time there is nothing to do.
func TestPullMerges(t *testing.T) {
	const key = "KEY=" + testKey + "\n"
	const b = "SECRET_B=two " + canary + "\n"
	for name, c := range map[string]struct{ before, added, said string }{
		"all of it":              {key, "CLUSTER_NAME=c\n" + b + "SECRET_A=one\n", "2 added"},
		"one of two":             {"# mine\n\n" + key + "CLUSTER_NAME=x\nSECRET_A=one # kept\n", b, "1 added, 1 unchanged"},
		"quoted otherwise":       {key + "CLUSTER_NAME=\nexport SECRET_A = \"one\"\t# x\nSECRET_B=\"two " + canary + "\"\n", "", "2 unchanged"},
		"never pushed":           {"NOTE='a\nb'\n" + key + "SECRET_NEW=" + canary + "3\nCLUSTER_NAME=x\n", b + "SECRET_A=one\n", "2 added"},
		"CRLF and a mark":        {"\ufeff" + strings.ReplaceAll(key, "\n", "\r\n") + "CLUSTER_NAME=c\r\n", strings.ReplaceAll(b+"SECRET_A=one\n", "\n", "\r\n"), "2 added"},
		"no last line end":       {key + "CLUSTER_NAME=c\n# end", "\n" + b + "SECRET_A=one", "2 added"},
		"another case of a name": {key + "CLUSTER_NAME=c\nSECRET_A=one\nSECRET-A=x\n", b, "1 added, 1 unchanged"},
		"differs":                {key + "CLUSTER_NAME=c\nSECRET_B=mine\n", "SECRET_A=one\n", "1 added, 1 kept (differs: SECRET_B)"},
		"differs, both":          {key + "CLUSTER_NAME=c\nSECRET_A=mine\nSECRET_B=mine\n", "", "2 kept (differs: SECRET_B, SECRET_A)"},
		"is empty":               {key + "CLUSTER_NAME=c\nSECRET_A=\nSECRET_B=''\n", "", "2 kept (differs: SECRET_B, SECRET_A)"},
	} {
		t.Run(name, func(t *testing.T) {
			placeOf(t, pushed...)
			put(t, ".env", c.before)
			want, again := exitDone, "2 unchanged"
			if i := strings.Index(c.said, "kept"); i >= 0 {
				want = exitFindings
				again = strings.Replace(c.said, "1 added, 1 kept (differs: SECRET_B)", "1 kept (differs: SECRET_B), 1 unchanged", 1)
			}
			for i, said := range []string{c.said, again} {
				code, stdout, stderr := run(t, "pull")
				if code != want || stdout != ".env: "+said+"\n" || strings.Contains(stderr, canary) {
					t.Errorf("run %d: exit code %d, %q, %s", i+1, code, stdout, stderr)
				}
				if (want == exitFindings) != strings.Contains(stderr, hintForce) {
					t.Errorf("run %d: %s", i+1, stderr)
				}
				if got := get(t, ".env"); got != c.before+c.added {
					t.Errorf("run %d:\n%q, want\n%q", i+1, got, c.before+c.added)
				}
			}
		})
	}
}

// With --force what differs takes the recorded value, in its place, and nothing else
// changes; without a terminal it needs --yes.
func TestPullForce(t *testing.T) {
	placeOf(t, pushed...)
	const before = "# a\nKEY=" + testKey + "\nCLUSTER_NAME=c\nexport SECRET_A = mine # note\nSECRET_NEW=x\n"
	put(t, ".env", before)
	code, stdout, stderr := run(t, "pull", "--force")
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "needs a confirmation") || get(t, ".env") != before {
		t.Errorf("exit code %d, %q, %s", code, stdout, stderr)
	}
	for _, said := range []string{"1 added, 1 replaced (SECRET_A)", "2 unchanged"} {
		if code, stdout, stderr := run(t, "pull", "--force", "--yes"); code != exitDone || stdout != ".env: "+said+"\n" || strings.Contains(stderr, canary) {
			t.Errorf("exit code %d, %q, %s", code, stdout, stderr)
		}
		if want := strings.Replace(before, "mine", "one", 1) + "SECRET_B=two " + canary + "\n"; get(t, ".env") != want {
			t.Errorf("%q, want %q", get(t, ".env"), want)
		}
	}
	if code, _, stderr := run(t, "pull", "--force"); code != exitDone { // nothing to ask about
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// A second spelling of a name beside the first could not be pushed.
func TestPullIntoAnotherSpelling(t *testing.T) {
	placeOf(t, pushed...)
	put(t, ".env", "KEY="+testKey+"\nSECRET-A=one\n")
	before := get(t, ".env")
	for _, flags := range []string{"", " --force --yes"} {
		refused(t, "pull"+flags, ".env:2: SECRET-A was pushed as SECRET_A", "spell it as it was pushed: SECRET_A\n")
	}
	if get(t, ".env") != before {
		t.Error("the .env was changed")
	}
}

// The keys come into a file that has none, unless they are kept in a --key-file.
func TestPullKeys(t *testing.T) {
	const b = "SECRET_B=two " + canary + "\nSECRET_A=one\n"
	for name, c := range map[string]struct {
		file, environment, before, want string
	}{
		"of the environment": {"", testKey, "X=1\n", "X=1\nKEY=" + testKey + "\nCLUSTER_NAME=c\nFERNET_NAMESPACE=ns\n" + b},
		"of a key file":      {"KEY=" + testKey + "\nKEY_PREVIOUS=" + strangeKey + "\n", "", "X=1\n", "X=1\nCLUSTER_NAME=c\n" + b},
		"both":               {"KEY=" + testKey + "\n", testKey, "X=1\n", "X=1\nCLUSTER_NAME=c\n" + b},
		"one is there":       {"", "", "KEY=" + testKey + "\n", "KEY=" + testKey + "\nCLUSTER_NAME=c\n" + b},
		"empty":              {"KEY=" + testKey + "\nKEY_PREVIOUS=" + strangeKey + "\n", "", "", "KEY=" + testKey + "\nKEY_PREVIOUS=" + strangeKey + "\nCLUSTER_NAME=c\nFERNET_NAMESPACE=ns\n" + b},
	} {
		placeOf(t, pushed...)
		put(t, "out.env", c.before)
		args := []string{"pull", "--out", "out.env", "--env", "out.env"}
		if c.file != "" {
			put(t, "keys", c.file)
			args = append(args, "--key-file", "keys")
		}
		if c.before == "" {
			args = append(args[:3], "--key-file", "keys")
			if err := os.Remove(".env"); err != nil {
				t.Fatal(err)
			}
		}
		a, _, stderr := newApp()
		a.machine.FernetKey = c.environment
		if code := a.run(t.Context(), args); code != exitDone || get(t, "out.env") != c.want {
			t.Errorf("%s: exit code %d, %s\n%q, want\n%q", name, code, stderr, get(t, "out.env"), c.want)
		}
		added := strings.Contains(c.want, "KEY=") && !strings.Contains(c.before, "KEY=") && c.before != ""
		if added != strings.Contains(stderr.String(), "note: out.env had no KEY, CLUSTER_NAME, FERNET_NAMESPACE: added\n") {
			t.Errorf("%s: %s", name, stderr)
		}
	}
}

// What no .env can hold stops a pull only where it would be written.
func TestPullOfWhatNoFileCanHold(t *testing.T) {
	placeOf(t, fact{cluster: "c", namespace: "ns", name: "SECRET_A", value: "\xff", generation: 1})
	const hint = "kubectl fernet reveal SECRET_A >FILE gives its bytes\n"
	refused(t, "pull", "SECRET_A: a value that is not UTF-8 cannot be written", hint)
	put(t, ".env", "KEY="+testKey+"\nSECRET_A=mine\n")
	if code, stdout, stderr := run(t, "pull"); code != exitFindings || stdout != ".env: 1 kept (differs: SECRET_A)\n" {
		t.Errorf("exit code %d, %q, %s", code, stdout, stderr)
	}
	refused(t, "pull --force", "SECRET_A: a value that is not UTF-8 cannot be written", hint) // before any question
}

// Only its owner can read a file that was pulled into, whatever its mode was, and
// be there nothing to add.
func TestPullModes(t *testing.T) {
	for _, mode := range []os.FileMode{0o644, 0o666, 0o440, 0o400, 0o600} {
		placeOf(t, pushed...)
		if err := os.Chmod(".env", mode); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			code, _, stderr := run(t, "pull")
			info, err := os.Stat(".env")
			if code != exitDone || err != nil || info.Mode() != mode&0o600 {
				t.Errorf("%v: exit code %d, %v, %v", mode, code, info, err)
			}
			said := fmt.Sprintf("note: .env was open to others (mode %04o); now only its owner can read it (mode %04o)\n", mode, mode&0o600)
			if strings.Contains(stderr, said) != (mode&0o077 != 0 && i == 0) {
				t.Errorf("%v: %s", mode, stderr)
			}
		}
		if err := os.Chmod(".env", 0o644); err != nil {
			t.Fatal(err)
		}
		if _, stdout, _ := run(t, "pull"); stdout != ".env: 2 unchanged\n" {
			t.Errorf("%q", stdout)
		}
		if info, err := os.Stat(".env"); err != nil || info.Mode() != 0o600 {
			t.Errorf("unchanged: %v, %v", info, err)
		}
		if left, _ := filepath.Glob("*.fernet-tmp"); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

// What is no .env is not merged into, and an unchanged file is not written.
func TestPullLeavesFilesAlone(t *testing.T) {
	placeOf(t, pushed...)
	put(t, "out.env", "old "+canary+"\n")
	for _, flags := range []string{"", " --force --yes"} {
		refused(t, "pull --out out.env"+flags, "out.env:1: no `=` in this line", "a line is NAME=VALUE")
	}
	if got := get(t, "out.env"); got != "old "+canary+"\n" {
		t.Errorf("it holds %q", got)
	}
	if code, _, stderr := run(t, "pull"); code != exitDone {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	if err := os.Chmod(".env", 0o600); err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(".env", then, then); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(".env")
	if err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, "pull", "--force"); code != exitDone {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	if after, err := os.Stat(".env"); err != nil || !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("written again: %v", err)
	}
}

// A file that another program changes while a pull is under way keeps that change.
func TestPullIntoAFileThatChanges(t *testing.T) {
	placeOf(t, pushed...)
	a, out, errOut := newApp()
	a.machine.Files = &meddler{FS: atomicfile.OS, meddle: func() { put(t, ".env", "KEY="+testKey+"\nSECRET_A=theirs\n") }}
	if code := a.run(t.Context(), []string{"pull"}); code != exitFailed || out.String() != "" {
		t.Errorf("exit code %d, %q", code, out)
	}
	if want := "error: .env changed while this run was under way; it was not touched\nhint: run the command again\n"; !strings.Contains(errOut.String(), want) {
		t.Errorf("%s", errOut)
	}
	if got := get(t, ".env"); got != "KEY="+testKey+"\nSECRET_A=theirs\n" {
		t.Errorf("it holds %q", got)
	}
}

// meddler changes something when the next content of a file has been opened.
type meddler struct {
	atomicfile.FS
	meddle func()
}

func (m *meddler) OpenFile(name string, flag int, perm os.FileMode) (atomicfile.File, error) {
	if flag&os.O_EXCL != 0 && filepath.Ext(name) == atomicfile.Suffix {
		m.meddle()
	}
	return m.FS.OpenFile(name, flag, perm)
}

// Thousands of entries are one edit, of what is there and of what is not.
func TestPullOfMany(t *testing.T) {
	var facts []fact
	env := "KEY=" + testKey + "\nCLUSTER_NAME=c\n"
	for i := range 2000 {
		name := fmt.Sprintf("SECRET_%04d", i)
		facts = append(facts, fact{cluster: "c", namespace: "ns", name: name, value: "v " + name, generation: 1})
		if i%2 == 0 {
			env += name + "=mine\n"
		}
	}
	emptyFolder(t)
	record(t, action.DefaultLedger, facts...)
	put(t, ".env", env)
	code, stdout, stderr := run(t, "pull", "--force", "--yes")
	if code != exitDone || !strings.HasPrefix(stdout, ".env: 1000 added, 1000 replaced (SECRET_0000, ") {
		t.Fatalf("exit code %d, %.80q, %s", code, stdout, stderr)
	}
	file, err := envfile.Parse(".env", []byte(get(t, ".env")))
	if err != nil || len(file.Entries) != 2002 {
		t.Fatalf("%v, %d entries", err, len(file.Entries))
	}
	for _, e := range file.Entries[2:] {
		if e.Value.Reveal() != "v "+e.Name {
			t.Fatalf("%s has another value", e.Name)
		}
	}
}
