// SPDX-License-Identifier: Apache-2.0

// Package cli is the only package that knows cobra, flags, streams and exit
// codes. Each verb is one file with one Options struct: flags become a complete
// request, Validate checks it, Run does the work through the packages below,
// none of which prints. Nothing here prints a value, a key or a token but the
// verbs that MayReveal lists.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/redact"
)

// The exit codes.
const (
	exitDone        = 0
	exitFindings    = 1   // finished, but something needs somebody's eye
	exitFailed      = 2   // usage, bad input, no connection, or an entry failed
	exitInterrupted = 130 // the same command finishes the work
)

// MayReveal names the verbs, and one flag, that may emit plaintext or a key. The leak tests
// read it.
var MayReveal = map[string]bool{"init": true, "keygen": true, "pull": true, "reveal": true, "exec-env": true, "diff --show-values": true}

// errFindings and errEntries end a run whose report has been printed already.
var (
	errFindings    = errors.New("findings")
	errEntries     = errors.New("entries failed")
	errInterrupted = errors.New("interrupted")
)

// app is what every verb shares: the streams, kubectl's connection flags, and
// the keys that stood in the environment.
type app struct {
	genericiooptions.IOStreams                // Out shows control characters as escapes
	product                    io.Writer      // stdout as it is, for objects, scripts and values
	machine                    action.Machine // the disk, the clock, and the keys that stood in the environment
	console                    *console
	heard                      *overheard // what others write to stderr; nil in tests
	connect                    *genericclioptions.ConfigFlags
	verbose                    int
	color                      colorMode
	args                       []string        // the command line
	typed                      hint.Text       // the same as it may be shown, for hints that extend it
	session                    *action.Session // the last one that was opened
	items                      []action.Item   // of its report
}

// Main runs the plugin with the arguments after its name and gives the exit code.
func Main(machine action.Machine, args []string) (code int) {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	defer func() {
		if r := recover(); r != nil {
			code = reportPanic(streams.ErrOut, r)
		}
	}()
	protectMemory()
	debug.SetGCPercent(collectAt)
	klog.SetLogger(logr.Discard()) // from -v=8 up client-go logs request bodies
	a := appOf(machine, streams)
	key, set := os.LookupEnv(action.EnvVarKey)
	a.machine.FernetKeyEmpty = set && key == ""
	a.machine.FernetKey, a.machine.FernetKeyOld = takeEnv(action.EnvVarKey), takeEnv(action.EnvVarPrevious)
	if err := refuseDebugging(os.Getenv("GODEBUG")); err != nil {
		return a.exit(err)
	}
	rest.SetDefaultWarningHandler(action.Warnings(func(text string) { a.console.say("Warning: " + text) }))
	a.heard = overhear(a.console)
	defer a.heard.stop()
	ctx, stop := interruptible()
	defer stop()
	return a.run(ctx, args)
}

// collectAt makes the garbage collector run a little more often than by default: what
// a long ledger leaves behind while it is read is most of what this program has.
const collectAt = 60

// appOf makes an app of its streams.
func appOf(machine action.Machine, streams genericiooptions.IOStreams) *app {
	a := &app{IOStreams: streams, machine: machine, console: newConsole(streams.ErrOut), color: colorAuto}
	a.product = belowBar{streams.Out, a.console}
	a.Out = redact.Writer(a.product)
	return a
}

// refuseDebugging refuses the settings of GODEBUG with which Go's HTTP client writes
// each request to stderr, its credentials and its body too. They are in effect when
// main begins, so that they can no longer be taken away.
func refuseDebugging(settings string) error {
	if !strings.Contains(settings, "http2debug=1") && !strings.Contains(settings, "http2debug=2") {
		return nil
	}
	return withHint(errors.New("GODEBUG=http2debug shows credentials, keys and tokens of each request"), "unset GODEBUG; -v shows method, path and status of each request")
}

// takeEnv reads a variable and removes it, because credential plugins inherit
// our environment.
func takeEnv(name string) string {
	value := os.Getenv(name)
	_ = os.Unsetenv(name)
	return value
}

// interruptible gives a context that the first Ctrl-C ends; the second one
// kills the process as if nobody listened.
func interruptible() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop()
	}()
	return ctx, stop
}

func (a *app) run(ctx context.Context, args []string) int {
	err := refuseSecrets(args)
	if err == nil {
		a.args, a.typed = args, commandLine(args)
		root := a.command()
		root.SetArgs(args)
		var cmd *cobra.Command
		cmd, err = root.ExecuteContextC(ctx)
		err = a.inPart(action.WithRights(err, cmd.Name()), cmd.Name())
	}
	a.heard.drain()
	a.console.flush()
	return a.exit(err)
}

// exitCode ends a run with the exit code of a command that it ran.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func (a *app) exit(err error) int {
	var ran exitCode
	switch {
	case errors.As(err, &ran):
		return int(ran)
	case err == nil:
		return exitDone
	case errors.Is(err, errFindings):
		return exitFindings
	case errors.Is(err, errEntries):
		return exitFailed
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		a.console.print("interrupted: the same command finishes the work\n")
		return exitInterrupted
	}
	a.console.print("error: " + hint.OneLine(err.Error()) + "\n")
	if way := hint.Of(err); way != "" {
		a.console.print("hint: " + hint.OneLine(string(way)) + "\n")
	}
	return exitFailed
}

// withHint adds the way out to an error: a constant with words that are quoted.
var withHint = hint.With

// reportPanic prints what kind of panic it was and where, and nothing of its
// value, which may quote data.
func reportPanic(w io.Writer, r any) int {
	_, _ = fmt.Fprintf(w, "error: %shint: please report these lines; they hold no value of yours\n", redact.Crashed(r, 3))
	return exitFailed
}

// Command gives the command tree, for what is generated from it.
func Command() *cobra.Command {
	return appOf(action.Machine{}, genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard}).command()
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-fernet",
		Short: "Keep a .env in Kubernetes as immutable, encrypted Secrets",
		Long: `kubectl fernet encrypts a .env into immutable Secrets that hold Fernet tokens.
Any language opens them with one key, the one secret that is left to look after.`,
		Example: `  # a .env with a fresh key, then its SECRET entries into the cluster
  kubectl fernet init
  kubectl fernet push --env .env`,
		Annotations:                map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl fernet"},
		SilenceErrors:              true,
		SilenceUsage:               true,
		Args:                       noArguments,
		SuggestionsMinimumDistance: 2,
		CompletionOptions:          cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	a.connect = genericclioptions.NewConfigFlags(false)
	a.connect.AddFlags(root.PersistentFlags())
	root.PersistentFlags().IntVarP(&a.verbose, "v", "v", 0, "show each request on stderr: method, path, status; never a body")
	a.color = colorAuto
	root.PersistentFlags().Var(&a.color, "color", "colours of states on stdout: `auto`, always or never")
	root.SetOut(a.Out)
	root.SetErr(redact.Writer(a.ErrOut))
	root.SetFlagErrorFunc(a.flagError)
	root.AddCommand(newInit(a), newKeygen(a), newLint(a), newPush(a, a.push), newWire(a, a.wire), newRotate(a, a.rotate), newRollout(a, a.rolloutAlone), newRetire(a, a.retire), newStatus(a, a.status),
		newDiff(a, a.diff), newVerify(a, a.verify), newPull(a, a.pull), newRestore(a, a.restore), newReveal(a, a.reveal), newExecEnv(a, a.execEnv), newAdopt(a, a.adopt), newRBAC(a), newPolicy(a), newVersion(a), newCompletion(a))
	a.setHelp(root)
	root.SetGlobalNormalizationFunc(alsoKnown)
	a.suggestFlags(root)
	return root
}

// alsoKnown gives the name of a flag under which docker and others know it.
func alsoKnown(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if name == "env-file" {
		name = "env"
	}
	return pflag.NormalizedName(name)
}

// noArguments refuses an argument. It repeats a command that it does not know, and
// nothing that stands behind one that it knows.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	path := hint.Text(cmd.CommandPath())
	if cmd.HasSubCommands() {
		err := errors.New("unknown command" + repeated(" %q", args[0]))
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return withHint(err, "did you mean: %s %s", path, near[0])
		}
		return withHint(err, "%s --help", path)
	}
	err := fmt.Errorf("%s takes no arguments, only flags", cmd.CommandPath())
	if namesEnv(cmd, args[0]) {
		return withHint(err, "%s --env %s", path, args[0])
	}
	return withHint(err, "%s --help", path)
}

// namesEnv says whether a word where none belongs is a .env, of a verb that reads one.
func namesEnv(cmd *cobra.Command, word string) bool {
	_, err := os.Stat(word)
	base := filepath.Base(word)
	return cmd.Flags().Lookup("env") != nil && (err == nil || strings.HasPrefix(base, action.DefaultEnv) || strings.HasSuffix(base, action.DefaultEnv))
}
