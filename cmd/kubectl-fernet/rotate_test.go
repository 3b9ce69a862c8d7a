// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// A rotation's doubtful create, be it the first one, which is the lock, or a
// later one, is looked at, and the next run finishes: no name gets other bytes.
func TestDoubtfulWritesOfARotation(t *testing.T) {
	for _, tc := range []struct {
		name   string
		action func(late <-chan struct{}) faultproxy.Action
		code   int
		next   func(s *site, proxy *faultproxy.Proxy, late chan<- struct{})
	}{
		{"reply lost", does(faultproxy.DropReply()), 0, nextRun},
		{"reset before it arrived", does(faultproxy.ResetBefore()), 2, nextRun},
		{"503 with Retry-After after success: client-go sends again", does(faultproxy.StatusAfter(503, faultproxy.RetryAfter(1))), 0, nextRun},
		{"504 after success", does(faultproxy.StatusAfter(504, nil)), 0, nextRun},
		{"504 that lands before the next run", faultproxy.LandWhen, 2, lands},
		{"504 that lands after the next run has looked", faultproxy.LandWhen, 2, landsMeanwhile},
		{"504 that lands after the next run", faultproxy.LandWhen, 2, nextRun},
		{"403 after success, as at a full quota", does(faultproxy.StatusAfter(403, nil)), 0, nextRun},
		{"500", does(faultproxy.Status(500, nil, nil)), 2, nextRun},
		{"422", does(faultproxy.Status(422, nil, nil)), 2, nextRun},
	} {
		for _, nth := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, at create %d", tc.name, nth), func(t *testing.T) {
				late := make(chan struct{})
				s, proxy := rotatedWithFault(t, nth, tc.code, tc.action(late))
				tc.next(s, proxy, late)
				s.holds()
				rotation.again(s)
				s.settled()
				s.checkRotated()
			})
		}
	}
}

// nextRun finishes, and then what is late lands.
func nextRun(s *site, proxy *faultproxy.Proxy, late chan<- struct{}) {
	rotation.again(s)
	lands(s, proxy, late)
}

func lands(s *site, proxy *faultproxy.Proxy, late chan<- struct{}) {
	close(late)
	settle(s.t, proxy)
}

// landsMeanwhile lets what is late land when the next run has looked at the
// cluster and asks for its first create as a dry run.
func landsMeanwhile(s *site, proxy *faultproxy.Proxy, late chan<- struct{}) {
	next, landed := startProxy(s.t), make(chan struct{})
	next.Reset(faultproxy.First(1, func(r faultproxy.Request) faultproxy.Action {
		if r.Method != http.MethodPost {
			return nil
		}
		return faultproxy.Hold(landed, nil)
	}))
	run := start(s.plugin(proxyKubeconfig(s.t, next), "rotate", "--yes"))
	run.await(s.t, func() bool {
		return slices.ContainsFunc(next.Requests(), func(r faultproxy.Request) bool { return r.Method == http.MethodPost })
	})
	lands(s, proxy, late)
	close(landed)
	if code, out := run.ended(s.t); code != 0 {
		s.t.Errorf("the next run: exit code %d\n%s", code, out)
	}
}

func does(action faultproxy.Action) func(<-chan struct{}) faultproxy.Action {
	return func(<-chan struct{}) faultproxy.Action { return action }
}

// rotatedWithFault rotates with a fault at the n-th create and asserts the exit
// code, and that nothing else is sent where the lock was not taken.
func rotatedWithFault(t *testing.T, nth, want int, action faultproxy.Action) (*site, *faultproxy.Proxy) {
	t.Helper()
	s, proxy := newSite(t), startProxy(t)
	proxy.Reset(faultproxy.Nth(nth, faultproxy.Writes(action)))
	out, err := s.plugin(proxyKubeconfig(t, proxy), "rotate", "--yes", "--parallel", "1").CombinedOutput()
	line := fmt.Sprintf("secret/secret-%02d-g2 %s\n", nth-1, map[int]string{0: "created", 2: "failed"}[want])
	if code := exitCode(t, err); code != want || !strings.Contains(string(out), line) {
		t.Errorf("exit code %d, want %d and %s%s", code, want, line, out)
	}
	if writes := len(proxy.Writes()); nth == 1 && want != 0 && writes != 1 {
		t.Errorf("%d creates were sent, although the first one failed", writes)
	}
	s.holds()
	return s, proxy
}

// settle waits until nothing that was sent can land any more.
func settle(t *testing.T, proxy *faultproxy.Proxy) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := proxy.Settle(ctx); err != nil {
		t.Fatal(err)
	}
}

// Ctrl-C at the lock, or at a later create, ends a rotation with 130 once its
// requests have ended; the same command finishes it. The creates are so slow that
// the signal is heard long before the last.
func TestInterruptedRotation(t *testing.T) {
	for _, nth := range []int{1, 3} {
		t.Run(fmt.Sprintf("at create %d", nth), func(t *testing.T) {
			s, proxy := newSite(t), startProxy(t)
			proxy.Reset(faultproxy.Writes(faultproxy.Delay(2*time.Second, 0)))
			run := start(s.plugin(proxyKubeconfig(t, proxy), "rotate", "--yes", "--parallel", "1"))
			run.await(t, func() bool { return len(proxy.Writes()) >= nth })
			if err := run.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			code, out := run.ended(t)
			if code != 130 || !strings.Contains(out, "secret/secret-00-g2 created\n") || !strings.Contains(out, " not sent\n") {
				t.Errorf("exit code %d\n%s", code, out)
			}
			s.holds()
			rotation.again(s)
			s.settled()
			s.checkRotated()
		})
	}
}

// What was created and could not be read back is not called created; the next
// run finds it there and completes the ledger.
func TestRotationThatCannotReadBack(t *testing.T) {
	s, proxy := newSite(t), startProxy(t)
	proxy.Reset(func(r faultproxy.Request) faultproxy.Action {
		if r.Method == http.MethodGet && len(proxy.Writes()) > 0 {
			return faultproxy.Status(500, nil, nil)
		}
		return nil
	})
	out, err := s.plugin(proxyKubeconfig(t, proxy), "rotate", "--yes").CombinedOutput()
	if code := exitCode(t, err); code != 2 || strings.Count(string(out), "-g2 failed\n") != 5 {
		t.Errorf("exit code %d\n%s", code, out)
	}
	s.holds()
	rotation.again(s)
	s.settled()
	s.checkRotated()
}

// running is a command under way.
type running struct {
	*exec.Cmd
	out  *bytes.Buffer
	err  error // of the start, then of the run
	over chan struct{}
}

func start(cmd *exec.Cmd) *running {
	r := &running{Cmd: cmd, out: &bytes.Buffer{}, over: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = r.out, r.out
	if r.err = cmd.Start(); r.err != nil {
		close(r.over)
		return r
	}
	go func() {
		defer close(r.over)
		r.err = cmd.Wait()
	}()
	return r
}

// await waits until something is so; if the command ends first, that is wrong.
func (r *running) await(t *testing.T, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(2 * time.Millisecond) {
		select {
		case <-r.over:
			t.Fatalf("ended too early: %v\n%s", r.err, r.out)
		default:
		}
		if time.Now().After(end) {
			t.Fatal("waited a minute in vain")
		}
	}
}

func (r *running) ended(t *testing.T) (code int, out string) {
	t.Helper()
	<-r.over
	return exitCode(t, r.err), r.out.String()
}

// Of two runs with the same .env the second one ends at once, and says whom it
// would have to wait for.
func TestTwoRotationsWithOneEnv(t *testing.T) {
	s, proxy := newSite(t), startProxy(t)
	release := make(chan struct{})
	proxy.Reset(faultproxy.First(1, faultproxy.All(faultproxy.Hold(release, nil))))
	first := start(s.plugin(proxyKubeconfig(t, proxy), "rotate", "--yes"))
	first.await(t, func() bool { return len(proxy.Requests()) > 0 })
	before := read(t, filepath.Join(s.dir, ".env"))
	code, out := s.run("rotate", "--yes")
	if want := fmt.Sprintf("error: fernet-ledger.csv: held by pid %d\n", first.Process.Pid); code != 2 || !strings.Contains(out, want) {
		t.Errorf("exit code %d, want 2 and %s%s", code, want, out)
	}
	if !bytes.Equal(before, read(t, filepath.Join(s.dir, ".env"))) || len(s.ours()) != len(s.values) {
		t.Error("the second run wrote something")
	}
	close(release)
	if code, out := first.ended(t); code != 0 {
		t.Errorf("the first run: exit code %d\n%s", code, out)
	}
	s.settled()
	s.checkRotated()
}

// checkout copies the .env and the ledger into a folder of their own.
func (s *site) checkout() *site {
	s.t.Helper()
	other := *s
	other.dir = s.t.TempDir()
	other.take(s, ".env", ledgerName)
	return &other
}

// take copies files from another folder.
func (s *site) take(from *site, names ...string) {
	s.t.Helper()
	for _, name := range names {
		write(s.t, filepath.Join(s.dir, name), string(read(s.t, filepath.Join(from.dir, name))))
	}
}

// Two who rotate the same namespace from two checkouts at the same moment: both
// have a new key and plans on disk, one of them gets the first create, and the
// other writes nothing else, has its old key back on request, and goes on with
// the winner's .env. Their ledgers merge as sets of lines, in any order.
func TestTwoCheckoutsRotateAtOnce(t *testing.T) {
	a := newSite(t)
	b := a.checkout()
	release, sites, proxies, runs := make(chan struct{}), []*site{a, b}, []*faultproxy.Proxy{nil, nil}, []*running{nil, nil}
	for i, s := range sites {
		proxies[i] = startProxy(t)
		proxies[i].Reset(faultproxy.First(1, faultproxy.Writes(faultproxy.Hold(release, nil))))
		runs[i] = start(s.plugin(proxyKubeconfig(t, proxies[i]), "rotate", "--yes"))
	}
	for i, run := range runs {
		run.await(t, func() bool { return len(proxies[i].Writes()) > 0 })
	}
	close(release)
	codes, outs := []int{0, 0}, []string{"", ""}
	for i, run := range runs {
		codes[i], outs[i] = run.ended(t)
	}
	slices.Sort(codes)
	if !slices.Equal(codes, []int{0, 2}) {
		t.Fatalf("exit codes %v, want 0 and 2\n%s\n%s", codes, outs[0], outs[1])
	}
	won, lost := 0, 1
	if strings.Contains(outs[0], "another process rotates") {
		won, lost = 1, 0
	}
	winner, loser := sites[won], sites[lost]
	id := winner.keys().ring(t).KeyIDs()[0]
	want := "error: another process rotates " + a.namespace + ": Secret secret-00-g2 is there already, under key " + id + "; nothing else was written\n"
	if writes := len(proxies[lost].Writes()); writes != 1 || !strings.Contains(outs[lost], want) {
		t.Errorf("the loser made %d writes, want 1, and:\n%s%s", writes, want, outs[lost])
	}
	winner.settled()
	winner.checkRotated()
	ledgers := []string{string(read(t, filepath.Join(a.dir, ledgerName))), string(read(t, filepath.Join(b.dir, ledgerName)))}

	loser.takesItBack()
	loser.take(winner, ".env")
	loser.holdsAfter("push") // and learns what the winner has created
	loser.settled()
	rotation.again(loser)

	for _, order := range [][]string{{ledgers[0], ledgers[1]}, {ledgers[1], ledgers[0]}} {
		merged := winner.checkout()
		_, rows, _ := strings.Cut(order[1], "\n")
		write(t, filepath.Join(merged.dir, ledgerName), order[0]+rows)
		rotation.again(merged)
		merged.settled()
		merged.checkRotated()
	}
	winner.must("rotate", "--new-key", "--yes")
	winner.settled()
}

// A colleague who rotates between the first look and the moment in which the new key
// is durable is seen by the second look: nothing is planned and nothing created.
func TestRotationLooksAgain(t *testing.T) {
	late := newSite(t)
	early, proxy, release := late.checkout(), startProxy(t), make(chan struct{})
	proxy.Reset(faultproxy.First(1, on(http.MethodPost, "/secrets", faultproxy.Hold(release, nil)))) // the dry run
	run := start(late.plugin(proxyKubeconfig(t, proxy), "rotate", "--yes"))
	run.await(t, func() bool {
		return slices.ContainsFunc(proxy.Requests(), func(r faultproxy.Request) bool { return r.Method == http.MethodPost })
	})
	early.must("rotate", "--yes")
	before := read(t, filepath.Join(late.dir, ledgerName))
	close(release)
	if code, out := run.ended(t); code != 1 || !strings.Contains(out, "superseded: secret-00-g2") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if len(proxy.Writes()) != 0 || !bytes.Equal(before, read(t, filepath.Join(late.dir, ledgerName))) {
		t.Error("it went on")
	}
	late.takesItBack()
	late.take(early, ".env")
	late.must("push")
	late.settled()
	early.settled()
	early.checkRotated()
}

// takesItBack aborts a rotation of which nothing was sent.
func (s *site) takesItBack() {
	s.t.Helper()
	mine := s.keys().primary
	s.must("rotate", "--abort", "--yes")
	if k := s.keys(); k.primary != testKey || k.next != mine || k.previous != nil {
		s.t.Error("--abort did not bring the old key back as KEY, and the other one as KEY_NEXT")
	}
	if code, out := s.run("rotate", "--yes"); code != 1 || !strings.Contains(out, "superseded: secret-00-g2") {
		s.t.Errorf("the old key rotates: exit code %d\n%s", code, out)
	}
}

// A rotation that was killed while somebody else rotated leaves plans under a
// key that nobody else has: with the other's .env they are in nobody's way.
func TestPlansOfALostRotation(t *testing.T) {
	winner := newSite(t)
	loser := winner.checkout()
	const request = 6 // two LISTs, a dry run, two LISTs again, the lock
	if killed, _ := loser.killAtRequest(rotation.args(loser), request, false); !killed || bytes.Count(read(t, filepath.Join(loser.dir, ledgerName)), []byte(",rotate,planned,")) != 5 {
		t.Fatal("not killed between its plans and its first create")
	}
	winner.must(rotation.args(winner)...)
	if code, out := loser.run("rotate", "--yes"); code != 1 || !strings.Contains(out, "superseded: secret-00-g2") {
		t.Errorf("exit code %d, want 1 and superseded:\n%s", code, out)
	}
	if code, out := loser.run("rotate", "--abort", "--yes"); code != 2 || !strings.Contains(out, "were sent already") {
		t.Errorf("--abort: exit code %d\n%s", code, out)
	}
	loser.take(winner, ".env")
	loser.holdsAfter("push")
	loser.holdsAfter("rotate", "--new-key", "--yes")
}

// holdsAfter runs a command that has to find or leave all entries in order.
func (s *site) holdsAfter(args ...string) {
	s.t.Helper()
	out := s.must(args...)
	if strings.Count(out, " unchanged\n")+strings.Count(out, " created\n") != len(s.values) {
		s.t.Errorf("%s:\n%s", strings.Join(args, " "), out)
	}
	s.holds()
}

// An .env that changes while a rotation looks at the cluster is left as it is,
// and nothing is written anywhere.
func TestEnvChangedWhileRotating(t *testing.T) {
	s, proxy := newSite(t), startProxy(t)
	release := make(chan struct{})
	proxy.Reset(faultproxy.First(1, faultproxy.All(faultproxy.Hold(release, nil))))
	run := start(s.plugin(proxyKubeconfig(t, proxy), "rotate", "--yes"))
	run.await(t, func() bool { return len(proxy.Requests()) > 0 })
	env, rows := filepath.Join(s.dir, ".env"), read(t, filepath.Join(s.dir, ledgerName))
	edited := string(read(t, env)) + "# a note of somebody's\n"
	write(t, env, edited)
	close(release)
	code, out := run.ended(t)
	if code != 2 || !strings.Contains(out, "error: .env changed while this run was under way; it was not touched\nhint: run the command again\n") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if string(read(t, env)) != edited || !bytes.Equal(rows, read(t, filepath.Join(s.dir, ledgerName))) || len(proxy.Writes()) != 0 {
		t.Errorf("something was written; %d requests", len(proxy.Writes()))
	}
	if _, err := os.Stat(env + atomicfile.Suffix); !os.IsNotExist(err) {
		t.Error("a temporary file is left")
	}
	rotation.again(s)
	s.settled()
	s.checkRotated()
}

// What the system saw of the real binary: the new key is written whole beside
// the .env, fsynced, renamed and its folder fsynced, then the plans are in the
// ledger and fsynced, and only then a create that is no dry run leaves.
func TestNewKeyIsOnDiskBeforeTheFirstCreate(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "kubectl-fernet")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s, proxy := newSite(t), startProxy(t)
	rotate := s.plugin(proxyKubeconfig(t, proxy), "rotate", "--yes")
	log := filepath.Join(t.TempDir(), "strace")
	traced := exec.Command("strace", "-f", "-y", "-qq", "-s", "256", "-e", "trace=openat,write,fsync,rename,renameat,renameat2", "-o", log, binary)
	traced.Args = append(traced.Args, rotate.Args[1:]...)
	traced.Dir, traced.Env = rotate.Dir, rotate.Env
	if out, err := traced.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\napt-get install -y strace", err, out)
	}
	const temp, rows = `<[^>]*/\.env\.fernet-tmp>`, `<[^>]*/fernet-ledger\.csv>`
	create := regexp.MustCompile(`write\(\d+<[^>]*>, "POST /api/v1/namespaces/[^?]*/secrets\?fieldManager=[^&]* `)
	rest := string(read(t, log))
	for i, step := range []*regexp.Regexp{
		regexp.MustCompile(`openat\([^"]*"[^"]*\.env\.fernet-tmp", [^ ]*O_EXCL`),
		regexp.MustCompile(`write\(\d+` + temp),
		regexp.MustCompile(`fsync\(\d+` + temp),
		regexp.MustCompile(`rename(at2?)?\([^"]*"[^"]*\.env\.fernet-tmp", [^"]*"[^"]*\.env"`),
		regexp.MustCompile(`fsync\(\d+<` + regexp.QuoteMeta(s.dir) + `>`),
		regexp.MustCompile(`write\(\d+` + rows + `, "[^"]*,rotate,planned,`),
		regexp.MustCompile(`fsync\(\d+` + rows),
		create,
	} {
		at := step.FindStringIndex(rest)
		if at == nil {
			t.Fatalf("step %d (%s) does not follow the one before it", i+1, step)
		}
		if early := create.FindStringIndex(rest[:at[0]]); early != nil {
			t.Fatalf("a create left before step %d (%s)", i+1, step)
		}
		rest = rest[at[1]:]
	}
	s.settled()
	s.checkRotated()
}

// What a rotation may not write, it refuses before anything is written, also
// where the lock and the ledger are elsewhere.
func TestRotationInAReadOnlyFolder(t *testing.T) {
	s := newSite(t)
	elsewhere := filepath.Join(t.TempDir(), ledgerName)
	write(t, elsewhere, string(read(t, filepath.Join(s.dir, ledgerName))))
	before := read(t, filepath.Join(s.dir, ".env"))
	if err := os.Chmod(s.dir, 0o500); err != nil {
		t.Fatal(err)
	}
	rotate := s.plugin(testkube.Kubeconfig(t), "rotate", "--yes", "--ledger", elsewhere)
	if os.Geteuid() == 0 {
		rotate.Args = slices.Concat([]string{"setpriv", "--bounding-set=-dac_override,-dac_read_search"}, rotate.Args)
		rotate.Path, rotate.Err = "/usr/bin/setpriv", nil
	}
	out, err := rotate.CombinedOutput()
	if err := os.Chmod(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, err); code != 2 || !strings.Contains(string(out), "permission denied\n") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if !bytes.Equal(before, read(t, filepath.Join(s.dir, ".env"))) || len(s.ours()) != len(s.values) || bytes.Contains(read(t, elsewhere), []byte(",rotate,")) {
		t.Error("something was written")
	}
}
