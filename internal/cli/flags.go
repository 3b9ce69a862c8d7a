// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// refuseSecrets refuses a Fernet key or token among the arguments, in whatever form:
// by then it is in the shell's history and in the process list, and it is repeated
// nowhere. kubectl's own --token is the API server's bearer token and passes; of the
// command that exec-env runs here the arguments are its own.
func refuseSecrets(args []string) error {
	previous := ""
	for i, arg := range args {
		isBearer := previous == bearer || strings.HasPrefix(arg, bearer+"=")
		kind := secretIn(arg)
		if kind != "" && !isBearer {
			return withHint(fmt.Errorf("argument %d is a Fernet %s: it is now in your shell's history and was visible in the process list", i+1, kind),
				"remove it from the history; keys belong into .env, a --key-file or FERNET_KEY")
		}
		if previous == "--" && slices.Contains(args[:i], "exec-env") {
			return nil
		}
		previous = arg
	}
	return nil
}

// secretIn says what an argument holds, as it is or percent-encoded. A folder or a file that
// is there may have a name that only looks like a key.
func secretIn(arg string) string {
	kind := cmp.Or(token.Kind(arg), token.Kind(unescaped(arg)))
	if kind == "key" && !paddedKey.MatchString(arg) && token.Kind(notThere(arg)) == "" {
		return ""
	}
	return kind
}

// paddedKey is a whole key, which no file is named after.
var paddedKey = regexp.MustCompile(`[A-Za-z0-9_-]{43}(=|%3[Dd])`)

// notThere cuts the part of a path that is there off an argument, or off the value of its flag.
func notThere(arg string) string {
	if flag, value, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(flag, "-") && token.Kind(flag) == "" {
		arg = value
	}
	for at := filepath.Clean(arg); at != filepath.Dir(at); at = filepath.Dir(at) {
		if _, err := os.Lstat(at); err == nil {
			return strings.TrimPrefix(filepath.Clean(arg), at)
		}
	}
	return arg
}

var percent = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

func unescaped(text string) string {
	return percent.ReplaceAllStringFunc(text, func(code string) string {
		c, _ := strconv.ParseUint(code[1:], 16, 8)
		return string([]byte{byte(c)})
	})
}

// longestWord is more than any command or flag has.
const longestWord = 64

// repeated formats a word that nobody knows, or gives nothing where it could be
// part of a secret.
func repeated(format, word string) string {
	if len(word) > longestWord || token.Encoded(word) {
		return ""
	}
	return fmt.Sprintf(format, word)
}

// bearer is kubectl's flag for the API server's bearer token.
const bearer = "--token"

// commandLine writes the arguments as they could be typed again, but for what
// may not be printed: a bearer token, a password in a URL, and what holds a key.
func commandLine(args []string) hint.Text {
	line := hint.Text("kubectl fernet")
	previous := ""
	for _, arg := range args {
		switch {
		case previous == bearer:
			line += ` "$TOKEN"`
		case strings.HasPrefix(arg, bearer+"="):
			line += " " + bearer + `="$TOKEN"`
		case secretIn(arg) != "":
			line += " …"
		default:
			line += hint.Format(" %s", userInfo.ReplaceAllString(arg, "://…@"))
		}
		previous = arg
	}
	return line
}

var userInfo = regexp.MustCompile(`://[^/@]*@`)

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

// takesNames is runsInContexts for a report that can be narrowed to NAMEs.
func takesNames[O options](a *app, o O, where *workOptions, run func(context.Context, O) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			where.only = args
		}
		return runsInContexts(a, o, where, &where.output, run)(cmd, nil)
	}
}

// flagError names the flag and says what is wrong without quoting the value.
func (a *app) flagError(cmd *cobra.Command, err error) error {
	help := hint.Text(cmd.CommandPath()) + " --help"
	var missing *pflag.NotExistError
	if errors.As(err, &missing) {
		name := missing.GetSpecifiedName()
		if missing.GetSpecifiedShortnames() != "" {
			unknown := fmt.Errorf("unknown flag -%s", name)
			if file := valueOf("-"+name, a.args); name == "f" && file != "" && namesEnv(cmd, file) {
				return withHint(unknown, "%s --env %s", hint.Text(cmd.CommandPath()), file)
			}
			return withHint(unknown, "%s", help)
		}
		unknown := errors.New("unknown flag" + repeated(" --%s", name))
		if near := hint.Nearest(name, flagNames(cmd)); near != "" {
			return withHint(unknown, "did you mean --%s?", near)
		}
		return withHint(unknown, "%s", help)
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

// valueOf gives what stands after a flag of one letter: in the same argument or the next.
func valueOf(flag string, args []string) string {
	for i, arg := range args {
		switch value, has := strings.CutPrefix(arg, flag); {
		case !has:
		case value != "":
			return strings.TrimPrefix(value, "=")
		case i+1 < len(args):
			return args[i+1]
		}
	}
	return ""
}

// samples are values of the types of flags that nobody guesses.
var samples = map[string]hint.Text{"age": "90d, 12w or 36h", "duration": "90s or 5m"}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}
