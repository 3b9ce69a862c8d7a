// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
)

// Whoever adds a state decides about its colour.
func TestEveryStateHasAShade(t *testing.T) {
	text, err := os.ReadFile("../plan/state.go")
	if err != nil {
		t.Fatal(err)
	}
	states := regexp.MustCompile(`(?m)^\t\w+ +State = "([a-z-]+)"`).FindAllSubmatch(text, -1)
	if len(states) != len(shades) {
		t.Errorf("%d states, %d shades", len(states), len(shades))
	}
	for _, state := range states {
		if _, has := shades[plan.State(state[1])]; !has {
			t.Errorf("%s has no shade", state[1])
		}
	}
}

func TestColorsAreForStatesOnly(t *testing.T) {
	for _, tc := range []struct {
		mode colorMode
		env  [2]string
		want string
	}{
		{colorAlways, [2]string{}, "deployment/web \x1b[32mpatched and rolled out\x1b[0m\nsecret/a\\x1b[7m unchanged\nsecret/b \x1b[31mfailed\\x1b[0m\x1b[0m\n"},
		{colorAlways, [2]string{"NO_COLOR", "1"}, "deployment/web \x1b[32mpatched and rolled out\x1b[0m\nsecret/a\\x1b[7m unchanged\nsecret/b \x1b[31mfailed\\x1b[0m\x1b[0m\n"},
		{colorNever, [2]string{}, "deployment/web patched and rolled out\nsecret/a\\x1b[7m unchanged\nsecret/b failed\\x1b[0m\n"},
		{colorAuto, [2]string{}, "deployment/web patched and rolled out\nsecret/a\\x1b[7m unchanged\nsecret/b failed\\x1b[0m\n"},
	} {
		if tc.env[0] != "" {
			t.Setenv(tc.env[0], tc.env[1])
		}
		var out strings.Builder
		a := &app{product: &out, color: tc.mode}
		o := &workOptions{}
		a.did(o, action.Item{State: plan.RolledOut}, "deployment/web patched and rolled out")
		a.did(o, action.Item{State: plan.Unchanged}, "secret/a\x1b[7m unchanged")
		a.did(o, action.Item{State: plan.Failed}, "secret/b failed\x1b[0m")
		if out.String() != tc.want {
			t.Errorf("%s: %q, want %q", tc.mode, out.String(), tc.want)
		}
	}
}

// The columns of a table stand where they stood.
func TestColorsMoveNoColumn(t *testing.T) {
	table := "NAME   STATE     SECRET\nA      current   a\n  B              \nSTATE  broken, x  c\n"
	a := &app{color: colorAlways}
	want := "NAME   STATE     SECRET\nA      \x1b[32mcurrent\x1b[0m   a\n  B              \nSTATE  \x1b[31mbroken\x1b[0m, x  c\n"
	if got := a.paintColumn(table, "STATE", []plan.State{plan.Current, "", plan.Broken}); got != want {
		t.Errorf("%q", got)
	}
	if got := (&app{color: colorNever}).paintColumn(table, "STATE", []plan.State{plan.Current, "", plan.Broken}); got != table {
		t.Errorf("%q", got)
	}
}
