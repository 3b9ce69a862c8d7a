// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kubectl-fernet/kubectl-fernet/internal/testkube"
)

// notRun says of lines in README.md, SECURITY.md and docs why no script runs them: PAGE or *, and how
// the line begins.
var notRun = []struct{ page, begins, why string }{
	{"*", "make demo", "CI runs it before all tests"},
	{"*", "make test", "it is what runs this test"},
	{"*", "kubectl krew ", "hack/dist installs the archives with krew; the index is there from the first release on"},
	{"*", "chmod +x ~/.local/bin", "hack/dist types it"},
	{"*", "kubectl fernet completion", "hack/dist types it"},
	{"*", "fernet-exec ", "its own tests, and those of examples, have its flags; the folders are those of a pod"},
	{"*", "docker ", "there is no container runtime here; TestFernetExecImage builds what the Dockerfile builds"},
	{"release.md", "git ", "a release is made by hand"},
	{"release.md", "make -C", "a release is made by hand"},
	{"compare.md", "kubectl apply -f https://", "of another program, and counted only"},
	{"compare.md", "kubectl create secret generic web --from-env-file=.env --dry-run=client", "of another program, and counted only"},
	{"compare.md", "kubectl create secret generic dotenvx", "of another program, and counted only"},
	{"compare.md", "kubectl set env deployment/web --from=secret/dotenvx", "of another program, and counted only"},
	{"compare.md", "kubectl set image", "there is no image of yours here"},
	{"compare.md", "kubectl apply -f sealed.yaml", "of another program, and counted only"},
	{"compare.md", "kubectl fernet wire deployment/web --exec --exec-image FERNET_EXEC", "pods.md has it with an image"},
	{"compare.md", "kubectl apply -f pod.yaml", "TestAPIServerTakesTheManifests applies those of the examples"},
	{"compare.md", "kubectl fernet init --bundle postgres", "TestAPIServerTakesTheManifests types what the example says"},
}

// doc [CODE] PAGE[,PAGE] 'LINE': runs a line that stands in README.md, SECURITY.md or in pages of docs,
// as it stands there, and requires its exit code, like example.
func doc(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: doc [CODE] PAGE[,PAGE] 'LINE'")
	}
	codes := "0"
	if len(args) == 3 {
		codes = args[0]
	}
	typeLine(ts, codes, args[len(args)-1])
}

// taken VARIABLE: sets a variable to what the last command said.
func taken(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: taken VARIABLE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

var (
	fencedBlock = regexp.MustCompile("(?ms)^```.*?^```$")
	shellLine   = regexp.MustCompile(`^ {4,}(?:\$ )?((?:kubectl|fernet-exec|make|chmod|docker|git) .*)$`)
	comment     = regexp.MustCompile(`\s{2,}#.*$| # .*$`)
	docLine     = regexp.MustCompile(`(?m)^doc (?:[0-9|]+ )?(\S+) '((?:[^']|'')+)'$`)
	anyDoc      = regexp.MustCompile(`(?m)^[ \t]*doc .*$`)
)

// shellLines gives the lines of a page that a reader may type.
func shellLines(text string) (lines []string) {
	for line := range strings.Lines(fencedBlock.ReplaceAllString(text, "")) {
		if found := shellLine.FindStringSubmatch(strings.TrimRight(line, "\n")); found != nil {
			lines = append(lines, strings.TrimSpace(comment.ReplaceAllString(found[1], "")))
		}
	}
	return lines
}

// Whoever types what README.md, SECURITY.md and docs show gets what they say: each line is run by a
// script, in the order of its page, or it is said why not.
func TestEveryDocumentedLineIsRun(t *testing.T) {
	root := testkube.Root(t)
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string][]string{}
	for _, file := range append(files, filepath.Join(root, "README.md"), filepath.Join(root, "SECURITY.md")) {
		pages[filepath.Base(file)] = shellLines(string(read(t, file)))
	}
	run := docsOfScripts(t, root, pages)
	excused := map[int]bool{}
	for page, lines := range pages {
		for _, line := range lines {
			i := slices.IndexFunc(notRun, func(not struct{ page, begins, why string }) bool {
				return (not.page == "*" || not.page == page) && strings.HasPrefix(line, not.begins)
			})
			switch {
			case i >= 0:
				excused[i] = true
			case !run[[2]string{page, line}]:
				t.Errorf("%s: no script runs: %s", page, line)
			}
		}
	}
	for i, not := range notRun {
		if !excused[i] {
			t.Errorf("%s has no line that begins with %s", not.page, not.begins)
		}
	}
}

// docsOfScripts gives the lines that scripts run, by page, and complains of those that no
// page has, and of those that a script runs before others which stand above them.
func docsOfScripts(t *testing.T, root string, pages map[string][]string) map[[2]string]bool {
	t.Helper()
	scripts, err := filepath.Glob(filepath.Join(root, "testdata", "script", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	run := map[[2]string]bool{}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		at := map[string]int{}
		for _, line := range anyDoc.FindAllString(string(text), -1) {
			found := docLine.FindStringSubmatch(line)
			if found == nil {
				t.Errorf("%s: write it as doc PAGE 'LINE': %s", filepath.Base(script), line)
				continue
			}
			command := strings.ReplaceAll(found[2], "''", "'")
			for _, page := range strings.Split(found[1], ",") {
				later := slices.Index(pages[page][min(at[page], len(pages[page])):], command)
				if later < 0 {
					t.Errorf("%s: not in %s, or above what was run before: %s", filepath.Base(script), page, command)
					continue
				}
				at[page] += later + 1
				run[[2]string{page, command}] = true
			}
		}
	}
	return run
}
