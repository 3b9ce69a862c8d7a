// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/plan"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// colorMode is --color.
type colorMode string

const (
	colorAuto   colorMode = "auto"
	colorAlways colorMode = "always"
	colorNever  colorMode = "never"
)

func (c *colorMode) String() string { return string(*c) }
func (c *colorMode) Type() string   { return "auto|always|never" }

func (c *colorMode) Set(text string) error {
	if !slices.Contains([]colorMode{colorAuto, colorAlways, colorNever}, colorMode(text)) {
		return errors.New("auto, always or never")
	}
	*c = colorMode(text)
	return nil
}

// colored says whether states have colours on stdout: by themselves on a terminal that has
// colours, where NO_COLOR (https://no-color.org) is not set.
func (a *app) colored() bool {
	if a.color != colorAuto {
		return a.color == colorAlways
	}
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && draws(a.product)
}

// shade is the parameter of a terminal's colour.
type shade string

const (
	plain  shade = ""
	green  shade = "32" // what was done
	yellow shade = "33" // what is left to somebody
	red    shade = "31" // what is wrong
)

// shades are the colours of all states.
var shades = map[plan.State]shade{
	plan.Unchanged: plain, plan.Same: plain, plan.NotSent: plain, plan.Kept: plain, plan.Reencrypted: plain,

	plan.Created: green, plan.Current: green, plan.Deleted: green, plan.Patched: green, plan.RolledOut: green, plan.Staged: green, plan.Dropped: green, plan.Restored: green,

	plan.Differs: yellow, plan.Stale: yellow, plan.Orphan: yellow, plan.Replaced: yellow, plan.Held: yellow, plan.Blocked: yellow, plan.Unproven: yellow,
	plan.ToRetire: yellow, plan.ToRollOut: yellow, plan.Unfinished: yellow, plan.InUse: yellow, plan.InManifest: yellow, plan.Mentioned: yellow, plan.History: yellow,
	plan.Restart: yellow, plan.Unhealthy: yellow, plan.ChangedBack: yellow, plan.Left: yellow, plan.ByHand: yellow, plan.LacksKey: yellow, plan.LacksEntry: yellow, plan.NotThere: yellow,

	plan.Foreign: red, plan.Misplaced: red, plan.Superseded: red, plan.Failed: red, plan.Missing: red, plan.Broken: red, plan.Denied: red,
}

// paint gives words the colour of a state, where there are colours. The words are shown as
// data from outside is.
func (a *app) paint(state plan.State, words string) string {
	words = redact.Visible(words)
	if shades[state] == plain || !a.colored() {
		return words
	}
	return "\x1b[" + string(shades[state]) + "m" + words + "\x1b[0m"
}

// paintColumn paints the cells of a table's column that begin with the words of a state.
// A tab writer counts the bytes of a cell, so that colours can only come behind it.
func (a *app) paintColumn(table, title string, states []plan.State) string {
	if !a.colored() {
		return table
	}
	lines := strings.SplitAfter(table, "\n")
	at := strings.Index(lines[0], title)
	for i, state := range states {
		line := lines[i+1]
		if words := state.Words(); len(line) > at && strings.HasPrefix(line[at:], words) {
			lines[i+1] = line[:at] + a.paint(state, words) + line[at+len(words):]
		}
	}
	return strings.Join(lines, "")
}
