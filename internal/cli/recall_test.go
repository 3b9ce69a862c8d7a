// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/keyring"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
	"github.com/kubectl-fernet/kubectl-fernet/internal/seal"
)

const strangeKey = "u0aFh9o7n1tq0H9Bz2h6uI3m8aS5v0mYp4y1Wc7dR2Q="

// fact is one Secret that a ledger of these tests has as created, unless said
// otherwise.
type fact struct {
	cluster, namespace, name, value string
	generation                      int
	key                             string // testKey where empty
	state                           ledger.State
}

// placeOf makes a new folder the current one, with a .env of testKey alone and
// a ledger of facts.
func placeOf(t *testing.T, facts ...fact) {
	t.Helper()
	emptyFolder(t)
	put(t, ".env", "KEY="+testKey+"\n")
	record(t, action.DefaultLedger, facts...)
}

func record(t *testing.T, path string, facts ...fact) {
	t.Helper()
	rows := make([]ledger.Row, len(facts))
	for i, f := range facts {
		rows[i] = f.row(t, i)
	}
	appendRows(t, path, rows...)
}

// appendRows adds rows to a ledger, signed with testKey.
func appendRows(t *testing.T, path string, rows ...ledger.Row) {
	t.Helper()
	guard, err := ledger.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = guard.Unlock() }()
	ring, err := keyring.Find(keyring.FromEnvironment(testKey, ""))
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(atomicfile.OS, path, guard, seal.New(ring, nil).Ledger())
	if err == nil {
		err = l.Append(rows...)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (f fact) row(t *testing.T, number int) ledger.Row {
	t.Helper()
	key, state := testKey, ledger.Created
	if f.key != "" {
		key = f.key
	}
	if f.state != "" {
		state = f.state
	}
	ring, err := keyring.Find(keyring.FromEnvironment(key, ""))
	if err != nil {
		t.Fatal(err)
	}
	base, err := names.Base(f.name)
	if err != nil {
		t.Fatal(err)
	}
	row, err := seal.New(ring, []envfile.Entry{{Name: f.name, Value: envfile.NewValue(f.value)}}).Seal(ledger.Row{
		Time: time.Now(), Operation: ledger.Push, State: state, Cluster: f.cluster, Namespace: f.namespace, EnvKey: f.name,
		Secret: names.Secret(base, f.generation), Generation: f.generation, Since: f.generation, UID: fmt.Sprintf("%08x-1111-4222-8333-%012x", number, len(f.value)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// refused runs a command that must fail with this error and hint, and print
// nothing to stdout.
func refused(t *testing.T, args, text, hint string) {
	t.Helper()
	code, stdout, stderr := run(t, strings.Fields(args)...)
	if want := "error: " + text + "\nhint: " + hint; code != exitFailed || stdout != "" || !strings.Contains(stderr, want) {
		t.Errorf("%s: exit code %d, stdout %q, stderr\n%swant\n%s", args, code, stdout, stderr, want)
	}
	if strings.Contains(stderr, canary) {
		t.Errorf("%s: shows a value", args)
	}
}

func reveals(t *testing.T, args, want string) {
	t.Helper()
	code, stdout, stderr := run(t, strings.Fields("reveal "+args)...)
	if code != exitDone || stdout != want {
		t.Errorf("reveal %s: exit code %d, stdout %q, want %q; stderr %s", args, code, stdout, want, stderr)
	}
}

func TestPullSparesLedgerAndKeys(t *testing.T) {
	placeOf(t, fact{cluster: "c", namespace: "ns", name: "SECRET_A", value: canary, generation: 1})
	put(t, "key.env", "KEY="+testKey+"\n")
	put(t, "old.csv", get(t, action.DefaultLedger))
	put(t, "crlf.csv", strings.ReplaceAll(get(t, action.DefaultLedger), "\n", "\r\n"))
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	const hint = "--out another file\n"
	for args, what := range map[string]string{
		"--out fernet-ledger.csv":                                  "fernet-ledger.csv: it is the ledger",
		"--out ./x/../fernet-ledger.csv":                           "./x/../fernet-ledger.csv: it is the ledger",
		"--out " + folder + "/fernet-ledger.csv":                   folder + "/fernet-ledger.csv: it is the ledger",
		"--out " + folder + "/new.csv --ledger new.csv":            folder + "/new.csv: it is the ledger",
		"--out fernet-ledger.csv.lock":                             "fernet-ledger.csv.lock: it is the ledger's lock file",
		"--out fernet-ledger.csv.lock --ledger old.csv":            "fernet-ledger.csv.lock: it is the ledger's lock file",
		"--out old.csv.lock --ledger old.csv":                      "old.csv.lock: it is the ledger's lock file",
		"--out key.env --key-file key.env":                         "key.env: it is the --key-file",
		"--out old.csv":                                            "old.csv: it begins like a ledger",
		"--out crlf.csv":                                           "crlf.csv: it begins like a ledger",
		"--env fernet-ledger.csv --ledger old.csv --key-file .env": "fernet-ledger.csv: it begins like a ledger",
	} {
		refused(t, "pull --force "+args, what, hint)
	}
	for _, file := range []string{action.DefaultLedger, "old.csv"} {
		if !strings.HasPrefix(get(t, file), "time,") {
			t.Errorf("%s was overwritten", file)
		}
	}
	if got := get(t, "key.env"); got != "KEY="+testKey+"\n" {
		t.Error("key.env was overwritten")
	}
	if code, _, stderr := run(t, "pull", "--force", "--key-file", ".env"); code != exitDone {
		t.Errorf("the .env as its own --key-file: exit code %d, %s", code, stderr)
	}
}

func TestTwoTokensOfOneName(t *testing.T) {
	one := fact{cluster: "c", namespace: "ns", name: "SECRET_A", value: canary + "1", generation: 2}
	two, first, other := one, one, one
	two.value, first.generation, other.name = canary+"2", 1, "SECRET_B"
	placeOf(t, one, two, first, other)
	text := `the ledger has several tokens as created under one name, which hold different values: SECRET_A (secret-a-g2 in namespace "ns" of cluster "c")`
	hint := "--from cluster: only one of them can be there\n"
	refused(t, "pull --force", text, hint)
	refused(t, "reveal SECRET_A", text, hint)
	refused(t, "reveal SECRET_A --generation 2", text, hint)
	refused(t, "exec-env -- false", text, hint)
	if got := get(t, ".env"); got != "KEY="+testKey+"\n" {
		t.Error("the .env was overwritten")
	}
	reveals(t, "SECRET_A --generation 1", first.value)
	reveals(t, "SECRET_B", other.value)

	placeOf(t, one, one, first) // the same value twice
	reveals(t, "SECRET_A", one.value)
	strange := one
	strange.key = strangeKey
	placeOf(t, one, strange) // nobody can tell
	if code, stdout, stderr := run(t, "reveal", "SECRET_A"); code != exitFailed || stdout != "" {
		t.Errorf("one of two opens: exit code %d, stdout %q, %s", code, stdout, stderr)
	}
	gone := two
	gone.state = ledger.Deleted
	placeOf(t, one, gone)
	reveals(t, "SECRET_A", one.value)
	reveals(t, "SECRET_A --generation 2", one.value)
}

func TestPulledClusterName(t *testing.T) {
	a := fact{cluster: "first", namespace: "ns", name: "SECRET_A", value: "a", generation: 1}
	b, elsewhere := a, a
	b.name, elsewhere.cluster = "SECRET_B", "second"
	for name, c := range map[string]struct {
		facts     []fact
		env, want string
	}{
		"one":                    {[]fact{a, b}, "", "first"},
		"one, not the .env's":    {[]fact{a, b}, "CLUSTER_NAME=second\n", "second"},
		"several":                {[]fact{a, b, elsewhere}, "CLUSTER_NAME=second\n", "second"},
		"several, nobody's name": {[]fact{a, b, elsewhere}, "", ""},
	} {
		placeOf(t, c.facts...)
		put(t, ".env", "KEY="+testKey+"\n"+c.env)
		if code, _, stderr := run(t, "pull", "--force"); code != exitDone {
			t.Fatalf("%s: exit code %d, %s", name, code, stderr)
		}
		file, err := envfile.Parse(".env", []byte(get(t, ".env")))
		if err != nil {
			t.Fatal(err)
		}
		if entry, _ := file.Lookup(action.VarCluster); entry.Value.Reveal() != c.want {
			t.Errorf("%s: CLUSTER_NAME is %q, want %q", name, entry.Value.Reveal(), c.want)
		}
	}
}

func TestTwoSpellings(t *testing.T) {
	one := fact{cluster: "c", namespace: "ns1", name: "SECRET_A", value: canary, generation: 1}
	two := one
	two.namespace, two.name = "ns2", "SECRET-A"
	placeOf(t, one, two)
	text := `several spellings of one name: SECRET_A in namespace "ns1" of cluster "c" and SECRET-A in namespace "ns2" of cluster "c"`
	hint := "choose one: -n NAMESPACE, --from-cluster NAME\n"
	refused(t, "reveal secret-a", text, hint)
	refused(t, "pull --force", text, hint)
	reveals(t, "SECRET_A", canary)
	reveals(t, "secret-a -n ns2", canary)
}

func TestRevealNeedsNoOtherEntry(t *testing.T) {
	placeOf(t,
		fact{cluster: "c", namespace: "ns", name: "SECRET_A", value: "a", generation: 1, key: strangeKey},
		fact{cluster: "c", namespace: "ns", name: "SECRET_C", value: "c", generation: 1})
	reveals(t, "SECRET_C", "c")
	reveals(t, "SECRET_C --generation 1", "c")
	if code, stdout, _ := run(t, "reveal", "SECRET_A"); code != exitFailed || stdout != "" {
		t.Errorf("what no key opens: exit code %d, stdout %q", code, stdout)
	}
}

func TestRevealGeneration(t *testing.T) {
	var facts []fact
	for _, namespace := range []string{"ns1", "ns2"} {
		for generation := 1; generation <= 3; generation++ {
			facts = append(facts, fact{cluster: "c", namespace: namespace, name: "SECRET_A", value: fmt.Sprintf("%s %d", namespace, generation), generation: generation})
		}
	}
	placeOf(t, facts...)
	reveals(t, "SECRET_A --generation 1 --namespaces ns2", "ns2 1")
	reveals(t, "SECRET_A --generation 2 -n ns1", "ns1 2")
	reveals(t, "secret-a-g2 -n ns1", "ns1 2")
	reveals(t, "secret-a-g3 -n ns1", "ns1 3")
	reveals(t, "secret-a-g2 --generation 2 -n ns1", "ns1 2")
	reveals(t, "secret-a -n ns1", "ns1 3")
	reveals(t, "secret/secret-a-g2 -n ns1", "ns1 2")
	reveals(t, "secrets/secret-a -n ns1", "ns1 3")
	refused(t, "reveal secret-a-g4 -n ns1", "nothing of that name was created there", "kubectl fernet status lists the names")
	for _, bad := range []string{"-1", "0"} {
		if code, stdout, stderr := run(t, "reveal", "SECRET_A", "-n", "ns1", "--generation", bad); code != exitFailed || stdout != "" || !strings.Contains(stderr, "error: --generation: the first one is 1\n") {
			t.Errorf("--generation %s: exit code %d, stdout %q, %s", bad, code, stdout, stderr)
		}
	}
	if code, stdout, stderr := run(t, "reveal", "secret-a-g2", "-n", "ns1", "--generation", "1"); code != exitFailed || stdout != "" || !strings.Contains(stderr, "error: NAME is that of generation 2, --generation says 1\n") {
		t.Errorf("two generations: exit code %d, stdout %q, %s", code, stdout, stderr)
	}
}

func TestWhatNoFileCanHold(t *testing.T) {
	for _, value := range []string{"a\x00b", "\xff"} {
		placeOf(t, fact{cluster: "c", namespace: "ns", name: "SECRET_A", value: value, generation: 1})
		code, _, stderr := run(t, "pull", "--out", "x.env")
		if code != exitFailed || !strings.Contains(stderr, "error: SECRET_A: a value ") || !strings.Contains(stderr, "hint: kubectl fernet reveal SECRET_A >FILE gives its bytes\n") {
			t.Errorf("%q: exit code %d, %s", value, code, stderr)
		}
		reveals(t, "SECRET_A", value)
	}
	placeOf(t, fact{cluster: "c", namespace: "ns", name: "SECRET_A", value: "a\x00b", generation: 1})
	refused(t, "exec-env -- false", "SECRET_A has a NUL byte, which no environment variable can have", "kubectl fernet reveal SECRET_A >FILE gives its bytes\n")
}

func TestCommandToRun(t *testing.T) {
	placeOf(t, fact{cluster: "c", namespace: "ns", name: "SECRET_A", value: canary, generation: 1})
	put(t, "script", "#!/bin/sh\n")
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	const hint = "a command of your PATH, or a path with a / in it\n"
	refused(t, "exec-env -- ./script", "./script: it is not executable", "chmod +x ./script\n")
	refused(t, "exec-env -- ./folder", "./folder: it is a directory", hint)
	refused(t, "exec-env -- ./nothing", "./nothing: no such command", hint)
	refused(t, "exec-env -- no-such-command", "no-such-command: no such command", hint)
}

func TestEnvironOf(t *testing.T) {
	values := []envfile.Entry{{Name: "SECRET_A", Value: envfile.NewValue("new=x")}, {Name: "SECRET_B", Value: envfile.NewValue("")}}
	got := environOf([]string{"A=1", "SECRET_A=old", "SECRET_AB=2", "SECRET_A=older", "SECRET_B", "=C:=x", "B="}, values)
	if want := "A=1 SECRET_AB=2 =C:=x B= SECRET_A=new=x SECRET_B="; strings.Join(got, " ") != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
