// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/pflag"
)

// A terminal that nobody has made larger shows each help whole: that of the program in 24
// lines with the prompt, that of a command in 40 with it, and both in 80 columns. What is data, such
// as a command to type, may be a little longer.
func TestHelpFitsOnAScreen(t *testing.T) {
	check := func(lines, columns int, args ...string) string {
		code, stdout, stderr := run(t, args...)
		if code != 0 || stderr != "" || strings.Count(stdout, "\n") > lines {
			t.Errorf("%v: exit code %d, %d lines of at most %d; %s", args, code, strings.Count(stdout, "\n"), lines, stderr)
		}
		for line := range strings.Lines(stdout) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > columns {
				t.Errorf("%v: %d columns: %s", args, n, line)
			}
		}
		return stdout
	}
	check(23, 80)
	for _, verb := range Command().Commands() {
		short := check(39, 80, verb.Name(), "--help")
		whole := check(120, 100, "help", verb.Name())
		intro, _, _ := strings.Cut(short, "\n\n")
		if strings.Count(intro, "\n") > 1 || !strings.Contains(intro, ".") {
			t.Errorf("%s: not two lines of sentences: %q", verb.Name(), intro)
		}
		verb.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" && !strings.Contains(whole, "--"+f.Name) {
				t.Errorf("help %s has no --%s", verb.Name(), f.Name)
			}
		})
		if !strings.Contains(short, "kubectl fernet options") {
			t.Errorf("%s --help does not say where the other flags are", verb.Name())
		}
	}
	check(80, 80, "options")
}

// Each command is in a group, and each flag that is not in the short help of a command is
// in "options" or marked on purpose.
func TestEveryCommandIsInAGroup(t *testing.T) {
	var grouped []string
	for _, group := range groups {
		grouped = append(grouped, group.verbs...)
	}
	root := Command()
	for _, verb := range root.Commands() {
		if !slices.Contains(grouped, verb.Name()) && !verb.Hidden {
			t.Errorf("%s is in no group", verb.Name())
		}
		for _, name := range append([]string{"output"}, shared...) {
			if f := verb.Flags().Lookup(name); f != nil && f.Annotations[detail] != nil {
				t.Errorf("%s: --%s is marked as a detail", verb.Name(), name)
			}
		}
	}
	_, stdout, _ := run(t, "options")
	for _, name := range append([]string{"context", "kubeconfig", "namespace", "as"}, shared...) {
		if !strings.Contains(stdout, "--"+name) {
			t.Errorf("options does not list --%s", name)
		}
	}
}

func TestEnvFileIsEnv(t *testing.T) {
	emptyFolder(t)
	for _, args := range [][]string{{"lint", "--env-file", "gone.env"}, {"lint", "--env-file=gone.env"}, {"push", "--env-file", "gone.env"}} {
		if code, _, stderr := run(t, args...); code != 2 || !strings.Contains(stderr, "gone.env") {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
}
