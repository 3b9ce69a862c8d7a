// SPDX-License-Identifier: Apache-2.0

// Command bench measures push beside what else creates Secrets, and the verbs
// that look, on the control plane that `bin/localkube run` gives it, and prints
// Markdown tables. Each figure is the median of several runs that alternate with
// those it is compared with; the spread is given as smallest and largest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-fernet/kubectl-fernet/internal/faultproxy"
)

func main() {
	entries := flag.Int("entries", 2000, "entries of the .env")
	runs := flag.Int("runs", 5, "runs of each kind")
	rows := flag.Int("rows", 1_000_000, "rows of the long ledger")
	only := flag.String("only", "", "only the tables whose title begins like this")
	loop := flag.String("loop", "", "only send the Secrets of this List file, in a bare client-go loop")
	flag.Parse()
	log.SetFlags(0)
	err := func() error {
		if *loop != "" {
			return bareLoop(context.Background(), *loop, 32)
		}
		return compare(context.Background(), *entries, *rows, *runs, *only)
	}()
	if err != nil {
		log.Fatal(err)
	}
}

// contender is one way to do a thing; prepare is not measured.
type contender struct {
	name    string
	prepare func(run int) (*exec.Cmd, error)
}

const startUpTitle = "start-up"

type figure struct{ wall, cpu, mebibytes, requests float64 }

func compare(ctx context.Context, entries, rows, runs int, only string) error {
	kubeconfig := os.Getenv("FERNET_TEST_KUBECONFIG")
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("no control plane: %w; hint: bin/localkube run -- go run ./hack/bench", err)
	}
	work, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	b := &bench{config: config, kubeconfig: kubeconfig, work: work, entries: entries, only: only}
	if err := b.setUp(ctx); err != nil {
		return err
	}
	if err := b.table("fresh, loopback", runs, b.fresh(ctx, "loopback")); err != nil {
		return err
	}
	// kubectl apply takes minutes for 2,000 unchanged objects: fewer runs.
	if err := b.table("again, nothing changed, loopback", max(1, runs/2), b.again(ctx)); err != nil {
		return err
	}
	if err := b.table("rotate, loopback", runs, b.rotate(ctx)); err != nil {
		return err
	}
	if err := b.bundles(ctx, runs); err != nil {
		return err
	}
	if err := b.table(fmt.Sprintf("look at %d entries, loopback", entries), runs, b.look(ctx)); err != nil {
		return err
	}
	if err := b.table(fmt.Sprintf("ledger of %d rows", rows), runs, b.long(rows)); err != nil {
		return err
	}
	if err := b.table(fmt.Sprintf("past: %d live entries, ledgers of %d and %d rows", pastEntries, pastRows[0], pastRows[1]), runs, b.past(ctx)); err != nil {
		return err
	}
	if err := b.workloads(ctx); err != nil {
		return err
	}
	return b.far(ctx, runs)
}

// workloads measures rollouts.
func (b *bench) workloads(ctx context.Context) error {
	if err := b.rollouts(ctx, "rollout of 20 Deployments that take 10 s to be available", rolloutRuns, site{name: "slow", deployments: 20, replicas: 2, ready: 10}, 1); err != nil {
		return err
	}
	return b.rollouts(ctx, "rollout of 60 Deployments with 8 Secrets each", rolloutRuns, site{name: "quick", deployments: 60, replicas: 2}, 8)
}

// far measures on a long way.
func (b *bench) far(ctx context.Context, runs int) error {
	proxy, err := faultproxy.Start(ctx, b.config, faultproxy.Options{RTT: 20 * time.Millisecond, NoBodies: true})
	if err != nil {
		return err
	}
	defer proxy.Close()
	b.kubeconfig = filepath.Join(b.work, "far")
	if err := proxy.Kubeconfig(b.kubeconfig, "localkube", "localkube"); err != nil {
		return err
	}
	if err := b.table("fresh, 20 ms round trip", runs, b.fresh(ctx, "far")); err != nil {
		return err
	}
	if err := b.fleet(ctx, "200 namespaces with 10 entries each, 20 ms round trip", rolloutRuns, 200, 10); err != nil {
		return err
	}
	return b.table(startUpTitle, 4*runs, b.startUp())
}

// rolloutRuns is how often is measured what takes long.
const rolloutRuns = 3

type bench struct {
	config     *rest.Config
	kubeconfig string
	work       string
	entries    int
	only       string // the beginning of the titles that are wanted
	pushed     string // the namespace and folder that again pushes to
	hasHistory bool
	list       string // the Secrets of a push, as one List
}

// table measures the contenders in turn and prints their medians.
func (b *bench) table(title string, runs int, contenders []contender) error {
	if !strings.HasPrefix(title, b.only) {
		return nil
	}
	figures := make([][]figure, len(contenders))
	for run := range runs {
		for i, c := range contenders {
			cmd, err := c.prepare(run)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			f, err := measure(cmd)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			figures[i] = append(figures[i], f)
		}
	}
	fmt.Printf("\n%s, %d runs each, medians\n\n| | seconds (min–max) | per second | CPU s | peak MiB | requests |\n|---|---|---|---|---|---|\n", title, runs)
	for i, c := range contenders {
		wall := column(figures[i], func(f figure) float64 { return f.wall })
		rate := "" // of a start-up there is none
		if title != startUpTitle {
			rate = fmt.Sprintf("%.0f", float64(b.entries)/median(wall))
		}
		requests := "" // counted where the plugin shows them
		if n := median(column(figures[i], func(f figure) float64 { return f.requests })); n > 0 {
			requests = fmt.Sprintf("%.0f", n)
		}
		fmt.Printf("| %s | %.3f (%.3f–%.3f) | %s | %.2f | %.0f | %s |\n", c.name, median(wall), wall[0], wall[len(wall)-1], rate,
			median(column(figures[i], func(f figure) float64 { return f.cpu })),
			median(column(figures[i], func(f figure) float64 { return f.mebibytes })), requests)
	}
	return nil
}

func column(figures []figure, of func(figure) float64) []float64 {
	var values []float64
	for _, f := range figures {
		values = append(values, of(f))
	}
	slices.Sort(values)
	return values
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func measure(cmd *exec.Cmd) (figure, error) {
	var said strings.Builder
	cmd.Stderr = &said
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return figure{}, err
	}
	ended, peak := make(chan struct{}), make(chan float64)
	go func() { peak <- watchMemory(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	wall := time.Since(start).Seconds()
	close(ended)
	if err != nil && !left(err) {
		return figure{}, fmt.Errorf("%w: %.2000s", err, said.String())
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return figure{wall, cpu.Seconds(), <-peak, float64(len(request.FindAllString(said.String(), -1)))}, nil
}

// left says that a command did its work, and that something is left to the user.
func left(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == 1
}

// request is a line of -v about one.
var request = regexp.MustCompile(`(?m)^[A-Z]+ /\S+ \d+ in `)

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// watchMemory gives the peak resident memory of a process in MiB, as seen every
// millisecond. (What wait4 tells includes the parent's before the exec.)
func watchMemory(pid int, ended <-chan struct{}) (mebibytes float64) {
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if m := highWater.FindSubmatch(status); m != nil {
			kibibytes, _ := strconv.ParseFloat(string(m[1]), 64)
			mebibytes = max(mebibytes, kibibytes/1024)
		}
		select {
		case <-ended:
			return mebibytes
		case <-time.After(time.Millisecond):
		}
	}
}
