// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

const usage = `usage:
  localkube [--api-only] --data-dir DIR --kubeconfig FILE
  localkube user --data-dir DIR --kubeconfig FILE NAME [GROUP...]
  localkube run [--api-only] [--data-dir DIR] -- COMMAND [ARG...]
`

// patience is how long a command has to end after the signal that ends it.
const patience = 10 * time.Second

type streams struct {
	in       io.Reader
	out, err io.Writer
}

// request is a command line of localkube.
type request struct {
	verb       string // "serve", "user" or "run"
	dataDir    string
	kubeconfig string
	apiOnly    bool
	args       []string
}

// exit is a command's exit code, handed on.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// run does what the arguments say and returns the exit code: 0 also when a signal ended a control plane, 2 for a wrong
// command line.
func run(ctx context.Context, args []string, s streams) int {
	req, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(s.out, usage)
		return 0
	}
	if err != nil {
		fmt.Fprintf(s.err, "localkube: %v\n%s", err, usage)
		return 2
	}
	if runtime.GOOS != "linux" {
		fmt.Fprintf(s.err, "localkube: a control plane runs on Linux only, this is %s\n", runtime.GOOS)
		return 1
	}
	switch req.verb {
	case "user":
		err = addUser(req)
	case "run":
		err = runBeside(ctx, req, s)
	default:
		err = serve(ctx, req, s.out)
	}
	var code exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintf(s.err, "localkube: %v\n", err)
	return 1
}

// parse reads a command line.
func parse(args []string) (request, error) {
	req := request{verb: "serve"}
	if len(args) > 0 && (args[0] == "user" || args[0] == "run") {
		req.verb, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("localkube", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&req.dataDir, "data-dir", "", "")
	if req.verb != "user" {
		flags.BoolVar(&req.apiOnly, "api-only", false, "")
	}
	if req.verb != "run" {
		flags.StringVar(&req.kubeconfig, "kubeconfig", "", "")
	}
	if err := flags.Parse(args); err != nil {
		return req, err
	}
	req.args = flags.Args()
	return req, req.validate()
}

func (r request) validate() error {
	switch {
	case r.verb != "run" && r.dataDir == "":
		return errors.New("--data-dir is missing")
	case r.verb != "run" && r.kubeconfig == "":
		return errors.New("--kubeconfig is missing")
	case r.verb == "serve" && len(r.args) > 0:
		return fmt.Errorf("unknown command or argument %q", r.args[0])
	case r.verb == "user" && (len(r.args) == 0 || r.args[0] == ""):
		return errors.New("the user's NAME is missing")
	case r.verb == "run" && len(r.args) == 0:
		return errors.New("the COMMAND to run is missing")
	}
	return nil
}

// serve runs a control plane until a signal comes or one of its processes ends.
func serve(ctx context.Context, req request, out io.Writer) error {
	if err := replaceable(req.kubeconfig); err != nil {
		return err
	}
	p, err := launch(ctx, req.dataDir, req.apiOnly)
	if err != nil {
		return unlessSignalled(err)
	}
	defer p.stop()
	if err := p.writeKubeconfig(req.kubeconfig, admin, adminGroup); err != nil {
		return err
	}
	defer func() { _ = os.Remove(req.kubeconfig) }()
	fmt.Fprintln(out, "localkube ready")
	<-p.running.Done()
	return unlessSignalled(context.Cause(p.running))
}

func unlessSignalled(err error) error {
	if errors.As(err, new(signalled)) {
		return nil
	}
	return err
}

// addUser writes the kubeconfig of a further user of the control plane that runs, or ran, in the data directory.
func addUser(req request) error {
	if err := replaceable(req.kubeconfig); err != nil {
		return err
	}
	p, err := open(req.dataDir)
	if err != nil {
		return err
	}
	return p.writeKubeconfig(req.kubeconfig, req.args[0], req.args[1:]...)
}

// runBeside runs a command while a control plane runs, and returns the command's exit code.
func runBeside(ctx context.Context, req request, s streams) error {
	if req.dataDir == "" {
		dir, err := os.MkdirTemp("", "localkube-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		req.dataDir = dir
	}
	p, err := launch(ctx, req.dataDir, req.apiOnly)
	if err != nil {
		return codeOf(nil, err)
	}
	defer p.stop()
	kubeconfig := filepath.Join(p.dir, "kubeconfig")
	if err := p.writeKubeconfig(kubeconfig, admin, adminGroup); err != nil {
		return err
	}
	cmd := beside(p.running, req.args, s)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "FERNET_TEST_KUBECONFIG="+kubeconfig, "FERNET_TEST_DATADIR="+p.dir)
	if err := spawn(cmd); err != nil {
		return err
	}
	_ = cmd.Wait() // its exit code says it all
	return codeOf(cmd.ProcessState, context.Cause(p.running))
}

// beside is a command that gets the signal that ended the control plane's context, and ends some time later at the latest.
func beside(running context.Context, args []string, s streams) *exec.Cmd {
	cmd := exec.CommandContext(running, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	cmd.WaitDelay = patience
	cmd.Cancel = func() error {
		var got signalled
		if !errors.As(context.Cause(running), &got) {
			got.Signal = syscall.SIGTERM
		}
		return cmd.Process.Signal(got.Signal)
	}
	return cmd
}

// codeOf is what a command's end means to whoever waits for it, told as a shell tells it: 128 and the signal's number when a
// signal ended it or us. A control plane that broke is an error of its own.
func codeOf(state *os.ProcessState, lost error) error {
	var got signalled
	switch {
	case errors.As(lost, &got) && (state == nil || !state.Exited()):
		return exit(128 + int(got.Signal.(syscall.Signal)))
	case lost != nil && !errors.As(lost, &got):
		return lost
	case !state.Exited():
		return exit(128 + int(state.Sys().(syscall.WaitStatus).Signal()))
	case state.ExitCode() != 0:
		return exit(state.ExitCode())
	}
	return nil
}
