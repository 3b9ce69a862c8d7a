// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/joho/godotenv"
)

// Finding is something odd about an entry, told without its value.
type Finding struct {
	Line  int
	Name  string
	Cause string
}

// Lint lists everything odd about a file, by line: its warnings, values that
// godotenv reads otherwise, names that shells drop, and placeholders.
func Lint(f *File) []Finding {
	var all []Finding
	for _, w := range f.Warnings {
		all = append(all, Finding{w.Line, w.Name, w.Message})
	}
	all = append(all, SecondOpinion(f)...)
	for _, e := range f.Entries {
		if strings.ContainsAny(e.Name, "-.") {
			all = append(all, Finding{e.Line, e.Name, "shells drop or cannot set a variable with - or . in its name; godotenv refuses -"})
		}
		if !strings.HasPrefix(e.Value.Reveal(), "#") && strings.Contains(e.Value.Reveal(), "#") && quoteOf(e.written.Reveal()) == "" {
			all = append(all, Finding{e.Line, e.Name, "Node's dotenv ends an unquoted value at any #; quote it"})
		}
		if value := e.Value.Reveal(); len(value) > 1 && value[0] == '`' && strings.HasSuffix(value, "`") && quoteOf(e.written.Reveal()) == "" {
			all = append(all, Finding{e.Line, e.Name, "Node's dotenv takes backticks for quotes; here they are part of the value"})
		}
		if what := Substitute(e.Value); what != "" {
			all = append(all, Finding{e.Line, e.Name, "the value looks like " + what + "; an application would get it as it stands"})
		}
		if Placeholder(e.Value) {
			all = append(all, Finding{e.Line, e.Name, "the value looks like a placeholder"})
		}
	}
	slices.SortStableFunc(all, func(a, b Finding) int { return a.Line - b.Line })
	return all
}

var placeholder = regexp.MustCompile(`(?is)^(change[-_ ]?me!*|(todo|fixme)\b.*|<[^<>]*>|x{3,}|\.\.\.|…)$`)

// Placeholder says whether a value looks like one that was to be replaced.
func Placeholder(v Value) bool {
	return placeholder.MatchString(strings.TrimSpace(v.Reveal()))
}

// SecondOpinion lists the entries whose value godotenv reads otherwise. It gets
// each value alone, under a name that it accepts, as it is written in the file,
// or as Quote writes it where the entry is from no file.
func SecondOpinion(f *File) []Finding {
	var all []Finding
	for _, e := range f.Entries {
		written := e.written.Reveal()
		if e.written.text == nil {
			written, _ = Quote(e.Value.Reveal()) // an error leaves "", which reads otherwise
		}
		got, err := secondReading(godotenv.Unmarshal, written)
		if err != nil || got != e.Value.Reveal() {
			all = append(all, Finding{e.Line, e.Name, differenceCause(written, e.Value.Reveal())})
		}
	}
	return all
}

// errUnread stands in for all that godotenv says: its errors quote the input.
var errUnread = errors.New("godotenv cannot read it")

func secondReading(read func(string) (map[string]string, error), written string) (value string, err error) {
	defer func() {
		if recover() != nil {
			err = errUnread
		}
	}()
	all, err := read("V=" + written)
	value, ok := all["V"]
	if err != nil || !ok || len(all) != 1 {
		return "", errUnread
	}
	return value, nil
}

// differenceCause tells which rule of godotenv makes the difference.
func differenceCause(written, value string) string {
	quote := quoteOf(written)
	switch {
	case quote != "" && strings.HasSuffix(value, `\`):
		return "godotenv takes a backslash before the closing quote as escaping it"
	case quote != "" && (strings.HasPrefix(value, quote) || strings.HasSuffix(value, quote)):
		return "godotenv strips quotes at the edges of the value"
	case quote != "'" && strings.Contains(written, "$"):
		return "godotenv expands $; single quotes keep it"
	case quote != "" && strings.Contains(written, `\`):
		return "godotenv reads backslashes otherwise"
	case quote == "" && strings.Contains(written, "#"):
		return "godotenv begins a comment elsewhere; quote the value"
	case quote == "" && strings.TrimSpace(value) != value:
		return "godotenv trims blanks that are not ASCII; quote the value"
	default:
		return "godotenv reads it otherwise"
	}
}

// quoteOf is the quote that begins a written value, or "".
func quoteOf(written string) string {
	written = strings.TrimLeft(written, blanks)
	if written != "" && (written[0] == '"' || written[0] == '\'') {
		return written[:1]
	}
	return ""
}
