// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cli"
	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// TestScreens runs testdata/screens: what a person sees in a terminal, that of tmux, once
// a command has ended or asks. UPDATE_SCREENS=1 writes the golden files anew; look at their
// diff before you commit it.
//
// The cases are written as those of TestStreams, but each `$ COMMAND` runs in a terminal of
// its own. Further lines are:
//
//	@size 80x24           columns and rows of the terminals from here on
//	@answer WORD          the next command asks; that screen is recorded, then WORD typed
//	@slow WHAT DURATION   from here on the API server is slow: WHAT is writes or all
//	@drawn REGEXP         what the next command draws on its way, and takes back
//
// In a golden file `| ` begins a row of the screen and `\ ` the rest of a line that was too
// long for one. What differs from run to run has a name of the same length.
func TestScreens(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Fatal("the screens need tmux: sudo apt-get install -y --no-install-recommends tmux")
	}
	dir := filepath.Join(testkube.Root(t), "testdata", "screens")
	lib := filepath.Join(testkube.Root(t), "testdata", "streams", "lib.sh")
	files, err := filepath.Glob(filepath.Join(dir, "*.cases"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".cases"), func(t *testing.T) {
			t.Parallel()
			sites := parseSites(t, file)
			t.Cleanup(func() { // after the sites, which are parallel
				compareStreams(t, strings.TrimSuffix(file, ".cases")+".golden", sites, "UPDATE_SCREENS")
			})
			for _, site := range sites {
				t.Run(site.name, func(t *testing.T) {
					t.Parallel()
					newScreenSite(t, lib, site).play(site)
				})
			}
		})
	}
}

// Each command has a screen of its short help.
func TestEveryHelpHasAScreen(t *testing.T) {
	cases := string(read(t, filepath.Join(testkube.Root(t), "testdata", "screens", "help.cases")))
	for _, verb := range cli.Command().Commands() {
		if line := "\n$ kubectl fernet " + verb.Name() + " --help\n"; !verb.Hidden && !strings.Contains(cases, line) {
			t.Errorf("help.cases lacks %q", strings.TrimSpace(line))
		}
	}
}

// screenSite is where a site of screens is played.
type screenSite struct {
	*streamSite
	socket        string // of the terminal's tmux, in the site's folder: a longer name would be too long
	columns, rows int
	answer        string         // to type when the next command asks
	drawn         *regexp.Regexp // what it draws on its way
}

func newScreenSite(t *testing.T, lib string, site *caseSite) *screenSite {
	t.Helper()
	return &screenSite{streamSite: newStreamSite(t, lib, site), columns: 80, rows: 24}
}

func (s *screenSite) play(site *caseSite) {
	s.t.Helper()
	site.play(s.record, s.do, s.prepare)
}

// do is a line that begins with @.
func (s *screenSite) do(step step) {
	s.t.Helper()
	what, rest, _ := strings.Cut(step.text, " ")
	switch what {
	case "size":
		if n, err := fmt.Sscanf(rest, "%dx%d", &s.columns, &s.rows); n != 2 {
			s.t.Fatalf("line %d: %v", step.line, err)
		}
	case "answer":
		s.answer = rest
	case "drawn":
		s.drawn = regexp.MustCompile(rest)
	case "slow":
		what, text, _ := strings.Cut(rest, " ")
		delay, err := time.ParseDuration(text)
		rule := map[string]func(faultproxy.Action) faultproxy.Rule{"writes": faultproxy.Writes, "all": faultproxy.All}[what]
		if err != nil || rule == nil {
			s.t.Fatalf("line %d: writes or all, and a duration", step.line)
		}
		s.slow(rule(faultproxy.Delay(delay, 0)))
	default:
		s.streamSite.do(step)
	}
}

// slow puts a proxy before the API server.
func (s *screenSite) slow(rule faultproxy.Rule) {
	s.t.Helper()
	proxy := startProxy(s.t)
	proxy.Reset(rule)
	config, err := clientcmd.LoadFromFile(proxyKubeconfig(s.t, proxy))
	if err != nil {
		s.t.Fatal(err)
	}
	config.Contexts[config.CurrentContext].Namespace = s.namespace
	if err := clientcmd.WriteToFile(*config, filepath.Join(s.dir, "kubeconfig")); err != nil {
		s.t.Fatal(err)
	}
}

// prompt stands on the screen when a command has ended.
var prompt = regexp.MustCompile(`\[exit code [0-9]+\] \$\n*$`)

// record runs a command in a new terminal and gives its screens.
func (s *screenSite) record(step step) string {
	s.t.Helper()
	script := "unset NO_COLOR\n. \"$LIB\"\n" + step.text + "\nprintf '[exit code %d] $ ' $?\n" +
		"exec sleep 600 # then tmux ends by itself, should nobody do it\n"
	s.socket = fmt.Sprintf("tmux-%d", step.line)
	raw := filepath.Join(s.dir, s.socket+".raw")
	start := []string{"start-server", ";", "set-option", "-g", "status", "off", ";",
		"new-session", "-d", "-x", strconv.Itoa(s.columns), "-y", strconv.Itoa(s.rows), "sh", "-c", script}
	if s.drawn != nil {
		start = append(start, ";", "pipe-pane", fmt.Sprintf("cat >'%s'", raw))
	}
	s.tmux(start...)
	defer s.tmux("kill-server")
	var out strings.Builder
	fmt.Fprintf(&out, "$ %s\n%dx%d\n", step.text, s.columns, s.rows)
	if s.answer != "" {
		out.WriteString(s.screen(s.await(regexp.MustCompile(`\[y/N\]\n*$`))) + "typed: " + s.answer + "\n")
		s.tmux("send-keys", s.answer, "Enter")
		s.answer = ""
	}
	out.WriteString(s.screen(s.await(prompt)))
	if s.drawn != nil {
		s.checkDrawn(step, raw)
		s.drawn = nil
	}
	return out.String()
}

// checkDrawn looks at all that a command wrote into its terminal, in the order in which it did.
func (s *screenSite) checkDrawn(step step, raw string) {
	s.t.Helper()
	var all []byte
	s.wait("the copy of the output", func() bool {
		all, _ = os.ReadFile(raw) // tmux may not have made it yet
		return bytes.Contains(all, []byte("[exit code "))
	})
	if !s.drawn.Match(all) {
		s.t.Errorf("line %d: nothing like %s was drawn: %q", step.line, s.drawn, regexp.MustCompile(`\x1b\[K[^\r\n]*`).FindAll(all, -1))
	}
}

func (s *screenSite) tmux(args ...string) string {
	s.t.Helper()
	cmd := exec.Command("tmux", append([]string{"-u", "-f", os.DevNull, "-S", s.socket}, args...)...) // #nosec G204 -- lines of ours
	cmd.Dir, cmd.Env = s.dir, s.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// await waits until the screen ends with something, and gives its lines, the whole ones
// where the terminal wrapped them, with their colours.
func (s *screenSite) await(end *regexp.Regexp) (screen string) {
	s.t.Helper()
	s.wait(end.String(), func() bool {
		screen = regexp.MustCompile(`(?m) +$`).ReplaceAllString(s.tmux("capture-pane", "-p", "-e", "-J"), "")
		return end.MatchString(screen)
	})
	return screen
}

func (s *screenSite) wait(what string, done func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain for %s:\n%s", what, s.tmux("capture-pane", "-p"))
		}
	}
}

var (
	sequence = regexp.MustCompile(`^\x1b\[[0-9;]*m`)
	shadeOf  = map[string]string{"\x1b[31m": "<red>", "\x1b[32m": "<green>", "\x1b[33m": "<yellow>", "\x1b[39m": "</>"}
)

// screen gives the rows of a screen, and how many are above it.
func (s *screenSite) screen(lines string) string {
	var out strings.Builder
	if above := strings.TrimSpace(s.tmux("display-message", "-p", "#{history_size}")); above != "0" {
		fmt.Fprintf(&out, "rows above: %s\n", above)
	}
	lines = strings.ReplaceAll(lines, "\n\x1b[39m", "\x1b[39m\n")                       // tmux writes it where it has to
	lines = strings.ReplaceAll(withoutOtherKinds(lines), s.namespace, "some-namespace") // as long
	lines = ages.ReplaceAllStringFunc(strings.TrimRight(lines, "\n"), agesNamed)
	for line := range strings.SplitSeq(lines, "\n") {
		out.WriteString("| ")
		for column := 0; line != ""; {
			if code := sequence.FindString(line); code != "" {
				name, known := shadeOf[code]
				if !known {
					name = fmt.Sprintf("%q", code)
				}
				out.WriteString(name)
				line = line[len(code):]
				continue
			}
			if column == s.columns {
				out.WriteString("\n\\ ")
				column = 0
			}
			r, n := utf8.DecodeRuneInString(line)
			out.WriteRune(r)
			line = line[n:]
			column++
		}
		out.WriteString("\n")
	}
	return out.String()
}
