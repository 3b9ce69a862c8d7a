// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cli"
	"github.com/kubectl-fernet/kubectl-fernet/internal/ledger"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// TestStreams runs testdata/streams: what each verb says on stdout and stderr, and
// its exit code, byte for byte. UPDATE_STREAMS=1 writes the golden files anew; read
// their diff before you commit it, for it is what users will see.
//
// VERB.cases has one or more sites, `=== NAME`. Each one has a folder, a namespace
// ($NS) and a kubeconfig of its own and runs beside the others. In it are cases,
// `--- NAME`, one after the other. A line `$ COMMAND` is run by sh and recorded; what
// stands between is preparation for the same sh, with the functions of lib.sh, and
// must succeed. Lines that begin with @ are done by this program:
//
//	@namespace VAR        there is a further namespace, $VAR; in their order of names $NS is the first
//	@user FILE VERBS      writes the kubeconfig of a user who may do VERBS on the Secrets of $NS
//	@lock FILE, @unlock   another process holds the lock of a ledger
//	@tty WORD...          the next command has a terminal as its stdin, where each WORD is typed as a line
//
// VERB.golden is the transcript. In it what differs from run to run has a name and a
// number, one for each distinct value of a site, so that a confusion of two is seen.
func TestStreams(t *testing.T) {
	dir := filepath.Join(testkube.Root(t), "testdata", "streams")
	for _, verb := range streamVerbs(t, dir) {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			golden := filepath.Join(dir, verb+".golden")
			sites := parseSites(t, filepath.Join(dir, verb+".cases"))
			t.Cleanup(func() { // after the sites, which are parallel
				compareStreams(t, golden, sites, "UPDATE_STREAMS")
			})
			for _, site := range sites {
				t.Run(site.name, func(t *testing.T) {
					t.Parallel()
					newStreamSite(t, filepath.Join(dir, "lib.sh"), site).play(site)
				})
			}
		})
	}
}

// streamVerbs gives the verbs that have cases, and complains of those that have none.
func streamVerbs(t *testing.T, dir string) (verbs []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.cases"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		verbs = append(verbs, strings.TrimSuffix(filepath.Base(file), ".cases"))
	}
	for _, verb := range cli.Command().Commands() {
		if name := verb.Name(); name != "help" && name != "options" && !slices.Contains(verbs, name) { // which completion.cases has
			t.Errorf("no cases of %s", name)
		}
	}
	return verbs
}

// caseSite is one site of a file of cases, and its transcript once it was played.
type caseSite struct {
	name   string
	steps  []step
	played strings.Builder
}

// step is one line, or for sh the lines up to the next that is none of its own.
type step struct {
	kind byte // '-' the name of a case, '$' recorded, '@' done here, ' ' prepared by sh
	line int
	text string
}

func parseSites(t *testing.T, file string) (sites []*caseSite) {
	t.Helper()
	for i, line := range strings.Split(string(read(t, file)), "\n") {
		if name, ok := strings.CutPrefix(line, "=== "); ok {
			sites = append(sites, &caseSite{name: name})
			continue
		}
		if len(sites) == 0 {
			if line != "" && line[0] != '#' {
				t.Fatalf("%s:%d: before the first site", file, i+1)
			}
			continue
		}
		site := sites[len(sites)-1]
		next := step{kind: ' ', line: i + 1, text: line}
		for kind, prefix := range map[byte]string{'-': "--- ", '$': "$ ", '@': "@"} {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				next.kind, next.text = kind, rest
			}
		}
		if last := len(site.steps) - 1; next.kind == ' ' && last >= 0 && site.steps[last].kind == ' ' {
			site.steps[last].text += "\n" + line
			continue
		}
		site.steps = append(site.steps, next)
	}
	return sites
}

// streamSite is where a site is played.
type streamSite struct {
	t         *testing.T
	dir       string
	namespace string // $NS
	env       []string
	names     *stableNames
	tty       []string // what to type into the next command
	lock      *ledger.Guard
}

func newStreamSite(t *testing.T, lib string, site *caseSite) *streamSite {
	t.Helper()
	s := &streamSite{t: t, dir: t.TempDir(), names: newStableNames()}
	variables := []string{"NS"}
	for _, step := range site.steps {
		if variable, ok := strings.CutPrefix(step.text, "namespace "); ok && step.kind == '@' {
			variables = append(variables, variable)
		}
	}
	var namespaces []string
	for range variables {
		namespaces = append(namespaces, testkube.Namespace(t))
	}
	slices.Sort(namespaces) // for it is in their order that the verbs name them
	config, err := clientcmd.LoadFromFile(testkube.Kubeconfig(t))
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts[config.CurrentContext].Namespace = namespaces[0]
	kubeconfig := filepath.Join(s.dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); !strings.HasPrefix(name, "FERNET_KEY") && name != "PATH" {
			s.env = append(s.env, entry)
		}
	}
	path := os.Getenv("PATH") + string(filepath.ListSeparator) + filepath.Join(testkube.Root(t), "bin")
	s.env = append(s.env, "PATH="+path, "HOME="+s.dir, "KUBECONFIG="+kubeconfig, "LIB="+lib, "WORK="+s.dir,
		"GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C")
	server, err := url.Parse(testkube.RESTConfig(t).Host)
	if err != nil {
		t.Fatal(err)
	}
	s.names.known(s.dir, "$WORK")
	s.names.known(server.Host, "$SERVER")
	for i, variable := range variables {
		s.env = append(s.env, variable+"="+namespaces[i])
		s.names.known(namespaces[i], "$"+variable)
	}
	s.namespace = namespaces[0]
	t.Cleanup(s.unlock)
	return s
}

func (s *streamSite) play(site *caseSite) {
	s.t.Helper()
	site.play(s.record, s.do, s.prepare)
}

// play goes through the steps of a site: record gives the transcript of a command, do is a
// line that begins with @, prepare the rest.
func (site *caseSite) play(record func(step) string, do, prepare func(step)) {
	for _, step := range site.steps {
		switch step.kind {
		case '-':
			fmt.Fprintf(&site.played, "\n--- %s\n", step.text)
		case '$':
			site.played.WriteString(record(step))
		case '@':
			do(step)
		default:
			prepare(step)
		}
	}
}

// prepare runs what is not recorded, and must succeed.
func (s *streamSite) prepare(step step) {
	s.t.Helper()
	if out, err := s.shell("set -eu\n. \"$LIB\"\n" + step.text).CombinedOutput(); err != nil {
		s.t.Fatalf("line %d: %v\n%s\n%s", step.line, err, step.text, out)
	}
}

func (s *streamSite) shell(script string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", script) // #nosec G204 -- a script of ours
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// record runs a command and gives its part of the transcript.
func (s *streamSite) record(step step) string {
	s.t.Helper()
	cmd := s.shell(". \"$LIB\"\n" + step.text)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if s.tty != nil {
		keyboard, tty := pseudoTerminal(s.t)
		cmd.Stdin = tty
		if _, err := keyboard.WriteString(strings.Join(s.tty, "\n") + "\n"); err != nil {
			s.t.Fatal(err)
		}
		s.tty = nil
	}
	code := 0
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			s.t.Fatalf("line %d: %v", step.line, err)
		}
		code = exit.ExitCode()
	}
	return fmt.Sprintf("$ %s\nexit code %d\n%s%s", step.text, code,
		quoted("1| ", s.names.of(stdout.String())), quoted("2| ", s.names.of(stderr.String())))
}

// quoted puts a prefix before each line, and says where the last one has no end.
func quoted(prefix, text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimRight(prefix+line, "\n") + "\n")
		if !strings.HasSuffix(line, "\n") {
			out.WriteString(prefix[:1] + "\\ no newline\n")
		}
	}
	return out.String()
}

// do is a line that begins with @.
func (s *streamSite) do(step step) {
	s.t.Helper()
	words := strings.Fields(step.text)
	switch {
	case words[0] == "namespace" && len(words) == 2: // newStreamSite has made it
	case words[0] == "user" && len(words) == 3:
		rule := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: strings.Split(words[2], ",")}
		kubeconfig := testkube.User(s.t, s.namespace, words[1]+"-"+s.namespace, rule)
		write(s.t, filepath.Join(s.dir, words[1]), string(read(s.t, kubeconfig)))
	case words[0] == "lock" && len(words) == 2:
		lock, err := ledger.Lock(filepath.Join(s.dir, words[1]))
		if err != nil {
			s.t.Fatalf("line %d: %v", step.line, err)
		}
		s.lock = lock
	case words[0] == "unlock":
		s.unlock()
	case words[0] == "tty":
		s.tty = words[1:]
	default:
		s.t.Fatalf("line %d: no such line: @%s", step.line, step.text)
	}
}

func (s *streamSite) unlock() {
	if s.lock != nil {
		_ = s.lock.Unlock()
		s.lock = nil
	}
}

// pseudoTerminal gives both ends of one.
func pseudoTerminal(t *testing.T) (keyboard, tty *os.File) {
	t.Helper()
	open := func(name string) *os.File {
		file, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		return file
	}
	keyboard = open("/dev/ptmx")
	var locked, number int32
	for request, value := range map[uintptr]*int32{syscall.TIOCSPTLCK: &locked, syscall.TIOCGPTN: &number} {
		// #nosec G103 -- the system's own interface
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, keyboard.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	return keyboard, open("/dev/pts/" + strconv.Itoa(int(number)))
}

// stableNames gives what differs from run to run a name that does not.
type stableNames struct {
	fixed   []string // pairs for a strings.Replacer
	numbers map[string]map[string]int
}

func newStableNames() *stableNames { return &stableNames{numbers: map[string]map[string]int{}} }

func (n *stableNames) known(text, name string) { n.fixed = append(n.fixed, text, name) }

// unstable is what to look for, in the order in which it is tried at each place. A
// group of the expression has the same name as its kind.
var unstable = regexp.MustCompile(strings.Join([]string{
	`(?P<token64>\bZ0FBQUFB[A-Za-z0-9+/]{60,}={0,2})`,
	`(?P<token>\bgAAAAA[A-Za-z0-9_-]{60,}={0,2})`,
	`(?P<binding>\bv1:[A-Za-z0-9_-]{43})`,
	`(?P<mac>\bv1:k[0-9a-f]{8}:[A-Za-z0-9_-]{22})`,
	`(?P<uid>\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)`,
	`(?P<k>\bk[0-9a-f]{8}\b)`,
	`(?:^|[^A-Za-z0-9_-])(?P<key>[A-Za-z0-9_-]{43}=)`,
	`(?P<time>\b20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9:.]{8,}Z)`,
	`resourceVersion: "?(?P<version>[0-9]+)`,
	`"resourceVersion": "(?P<version>[0-9]+)`,
	`\bpid (?P<pid>[0-9]+)`,
	`\bin (?P<ms>[0-9]+) ms\b`,
	`127\.0\.0\.1:(?P<port>[0-9]{2,})`,
	`(?P<pod>-[bcdfghjklmnpqrstvwxz2456789]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b)`, // the letters of generated names: no vowels
	`(?P<ages>` + ages.String() + `)`,
}, "|"))

var (
	// Ages are columns of young ones, or the last words of a line.
	ages = regexp.MustCompile(`(?:  +[0-9]+(?:m[0-9]*s?|s))+(?: +|,|\n|$)`)
	age  = regexp.MustCompile(`[0-9]+(?:m[0-9]*s?|s) *`)
	// Whether and how often a rollout tells its progress is a matter of time.
	progress      = regexp.MustCompile(`waiting for the rollout to start|[0-9]+ of [0-9]+ new pods (?:made|ready)|old pods left: [0-9]+`)
	progressLines = regexp.MustCompile(`(?m)(^|\[y/N\] )(?:[a-z]+/[a-z-]+: PROGRESS\n)+`)
	// Other tests define kinds of their own, which retire would look at.
	otherKinds = regexp.MustCompile(`(?:, )?[a-z]+\.t-[a-z0-9]{12}\.example\.com`)
	noKinds    = regexp.MustCompile(`(?m)^note: namespace "[^"]*": not allowed to list \n`)
)

func withoutOtherKinds(text string) string {
	return noKinds.ReplaceAllString(otherKinds.ReplaceAllString(text, ""), "")
}

// of replaces all that differs from run to run.
func (n *stableNames) of(text string) string {
	text = strings.NewReplacer(n.fixed...).Replace(text)
	text = withoutOtherKinds(text)
	text = progressLines.ReplaceAllString(progress.ReplaceAllString(text, "PROGRESS"), "$1")
	var out strings.Builder
	last := 0
	for _, at := range unstable.FindAllStringSubmatchIndex(text, -1) {
		for group, kind := range unstable.SubexpNames() {
			if from := at[2*group]; group > 0 && from >= 0 {
				out.WriteString(text[last:from] + n.name(kind, text[from:at[2*group+1]]))
				last = at[2*group+1]
			}
		}
	}
	return out.String() + text[last:]
}

func (n *stableNames) name(kind, value string) string {
	prefix := ""
	switch kind {
	case "ms", "time", "version", "pid", "port": // how many there are may differ, too
		return kind + "#"
	case "ages":
		return agesNamed(value)
	case "pod":
		prefix = "-"
	case "k":
		if value == "kab12cd34" { // stands in messages, as an example
			return value
		}
	case "token64":
		if token, err := base64.StdEncoding.DecodeString(value); err == nil {
			return "base64(" + n.name("token", string(token)) + ")"
		}
	}
	if n.numbers[kind] == nil {
		n.numbers[kind] = map[string]int{}
	}
	if _, ok := n.numbers[kind][value]; !ok {
		n.numbers[kind][value] = len(n.numbers[kind]) + 1
	}
	return fmt.Sprintf("%s%s#%d", prefix, kind, n.numbers[kind][value])
}

// agesNamed keeps the columns.
func agesNamed(text string) string {
	return age.ReplaceAllStringFunc(text, func(one string) string {
		if !strings.HasSuffix(one, " ") {
			return "AGE" // the last column
		}
		return fmt.Sprintf("%-*s", len(one), "AGE")
	})
}

// compareStreams compares what was played with the golden file, case by case, or
// writes that file where the variable update is 1.
func compareStreams(t *testing.T, golden string, sites []*caseSite, update string) {
	t.Helper()
	if t.Failed() {
		return // a site was not played to its end
	}
	var got strings.Builder
	for _, site := range sites {
		fmt.Fprintf(&got, "=== %s\n%s\n", site.name, &site.played)
	}
	if os.Getenv(update) == "1" {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil { // #nosec G306 -- a file of the repository
			t.Fatal(err)
		}
		return
	}
	names, is := casesOf(got.String())
	wanted, should := casesOf(string(read(t, golden)))
	for _, name := range names {
		if is[name] != should[name] {
			t.Errorf("%s: %s%s", filepath.Base(golden), name, lineDiff(should[name], is[name]))
		}
	}
	for _, name := range wanted {
		if _, ok := is[name]; !ok {
			t.Errorf("%s: %s: not played; %s=1 takes it out", filepath.Base(golden), name, update)
		}
	}
	if !t.Failed() && got.String() != string(read(t, golden)) {
		t.Errorf("%s: the cases are in another order; %s=1 writes it anew", filepath.Base(golden), update)
	}
}

// casesOf cuts a transcript into its cases, by site and name.
func casesOf(transcript string) (names []string, text map[string]string) {
	text = map[string]string{}
	site, name := "", ""
	for line := range strings.Lines(transcript) {
		if rest, ok := strings.CutPrefix(line, "=== "); ok {
			site, name = strings.TrimSpace(rest), ""
			continue
		}
		if rest, ok := strings.CutPrefix(line, "--- "); ok {
			name = site + ": " + strings.TrimSpace(rest)
			names = append(names, name)
		}
		text[name] += line
	}
	return names, text
}

// lineDiff shows the lines that only one of two texts has, with the command before them.
func lineDiff(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	common := make([][]int, len(a)+1) // the longest common subsequences of the rests
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var out strings.Builder
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			if strings.HasPrefix(a[i], "$ ") {
				out.WriteString("\n  " + a[i])
			}
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out.WriteString("\n- " + a[i])
			i++
		default:
			out.WriteString("\n+ " + b[j])
			j++
		}
	}
	return out.String()
}
