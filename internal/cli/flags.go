// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// refuseSecrets refuses a Fernet key or token among the arguments: by then it
// is in the shell's history and in the process list. kubectl's own --token is
// the API server's bearer token and passes.
func refuseSecrets(args []string) error {
	previous := ""
	for i, arg := range args {
		if arg == "--" {
			return nil
		}
		isBearer := previous == bearer || strings.HasPrefix(arg, bearer+"=")
		previous = arg
		kind := secretIn(arg)
		if kind == "" || isBearer {
			continue
		}
		return withHint(fmt.Errorf("argument %d is a Fernet %s: it is now in your shell's history and was visible in the process list", i+1, kind),
			"remove it from the history; keys belong into .env, a --key-file or FERNET_KEY")
	}
	return nil
}

// secretIn looks at an argument as a whole, behind each of its "=", and behind
// a short flag that it may be attached to (-nVALUE).
func secretIn(arg string) string {
	candidates := []string{arg}
	if len(arg) > 2 && arg[0] == '-' {
		candidates = append(candidates, arg[2:])
	}
	for rest, more := arg, true; more; {
		_, rest, more = strings.Cut(rest, "=")
		candidates = append(candidates, rest)
	}
	for _, c := range candidates {
		if kind := secretKind(c); kind != "" {
			return kind
		}
	}
	return ""
}

// bearer is kubectl's flag for the API server's bearer token.
const bearer = "--token"

// commandLine writes the arguments as they could be typed again, but for what
// may not be printed: a bearer token, and a password in a URL.
func commandLine(args []string) string {
	words := []string{"kubectl fernet"}
	previous := ""
	for _, arg := range args {
		switch {
		case previous == bearer:
			words = append(words, `"$TOKEN"`)
		case strings.HasPrefix(arg, bearer+"="):
			words = append(words, bearer+`="$TOKEN"`)
		default:
			words = append(words, shellWord(userInfo.ReplaceAllString(arg, "://…@")))
		}
		previous = arg
	}
	return strings.Join(words, " ")
}

var (
	shellSafe = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=-]+$`)
	userInfo  = regexp.MustCompile(`://[^/@]*@`)
)

// shellWord quotes a word so that a shell reads it as it is.
func shellWord(word string) string {
	if shellSafe.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func secretKind(arg string) string {
	if _, err := decrypt.ParseKeys(arg); err == nil {
		return "key"
	}
	if _, err := token.Parse(arg); err == nil {
		return "token"
	}
	return ""
}

// options are the flags of a verb.
type options interface {
	complete()                       // fills in what was not said
	validate(namespace string) error // beside -n
}

// runs makes the body of a verb: its options are completed and checked, and then
// it is run.
func runs[O options](a *app, o O, run func(context.Context, O) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		o.complete()
		if err := o.validate(*a.connect.Namespace); err != nil {
			return err
		}
		return run(cmd.Context(), o)
	}
}

// flagError names the flag and says what is wrong without quoting the value.
func (a *app) flagError(cmd *cobra.Command, err error) error {
	help := cmd.CommandPath() + " --help"
	var missing *pflag.NotExistError
	if errors.As(err, &missing) {
		if missing.GetSpecifiedShortnames() != "" {
			return withHint(errors.New("unknown short flag"), "%s", help)
		}
		name := missing.GetSpecifiedName()
		if len(name) > longestFlag {
			return withHint(errors.New("unknown flag"), "%s", help)
		}
		if near := nearest(name, flagNames(cmd)); near != "" {
			return withHint(fmt.Errorf("unknown flag --%s", name), "did you mean --%s?", near)
		}
		return withHint(fmt.Errorf("unknown flag --%s", name), "%s", help)
	}
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		if sample := samples[bad.GetFlag().Value.Type()]; sample != "" {
			help = "a length of time, such as " + sample
		}
		return withHint(fmt.Errorf("--%s: not a valid %s", bad.GetFlag().Name, bad.GetFlag().Value.Type()), "%s", help)
	}
	var needs *pflag.ValueRequiredError
	if errors.As(err, &needs) {
		return withHint(fmt.Errorf("--%s needs a value", needs.GetFlag().Name), "%s", help)
	}
	return withHint(errors.New("a flag that cannot be read"), "%s", help)
}

// samples are values of the types of flags that nobody guesses.
var samples = map[string]string{"age": "90d, 12w or 36h", "duration": "90s or 5m"}

// longestFlag is more than any flag has; a longer one may be a secret.
const longestFlag = 30

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// nearest gives the candidate with the smallest edit distance to name, or none
// if all are too far to be what was meant.
func nearest(name string, candidates []string) string {
	best, limit := "", max(2, len(name)/3)+1
	for _, c := range candidates {
		if d := distance(name, c); d < limit {
			best, limit = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
