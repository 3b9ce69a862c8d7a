// SPDX-License-Identifier: Apache-2.0

// Command vectors shows that each check in package decrypt is held by a vector:
// it takes the checks out one at a time, runs the vectors, and prints which turn
// red. It fails if none does for one check. Run it in the root of the repository.
//
// The checks are found in the source, so a new one needs no entry here. They are
// taken out in copies that the go command is given as an overlay; the tree is not
// touched. One binary has all of them, and is told by a variable which is to go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// elsewhere has the files that no vector reaches, and what they are about.
var elsewhere = map[string]string{
	"errors.go": "the words of errors",
}

// unseen has the edits that no vector can notice, with the reason.
var unseen = map[string]string{
	"parseKey: err != nil: never":             "who has 32 bytes of 44 characters has met no error",
	"decode: err != nil: never":               "who has met an error has fewer bytes than the text has room for",
	"newKey: err != nil: never":               "AES takes 16 bytes",
	"KeyIDs: r == nil: never":                 "a case has a keyring",
	"WithDoubleBase64: r == nil: never":       "a case has a keyring",
	"OpenResult: r == nil: never":             "a case has a keyring",
	"isToken: err == nil: never":              "it is there for speed",
	"FS: fsys == nil: never":                  "a case has a file system",
	"FS: err != nil: never":                   "fs.Sub refuses bad names only, and ..data is a good one",
	"readFile: info.Size() > maxFile: never":  "what is read of a file is limited, too",
	"readFile: len(content) > maxFile: never": "the files of a case do not grow",
	"readFile: err != nil: never":             "a file of a case that was looked at can be opened",
	"snapshot: i < attempts: i <= attempts":   "the folder of a case is not replaced while it is read",
	"snapshot: current(dir) != folder: never": "the folder of a case is not replaced while it is read",
}

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, "decrypt", os.Stdout)
	stop()
	if err != nil {
		log.Fatalf("error: %v", err)
	}
}

// run writes the table of all edits of a module to out. It is an error if the
// vectors are red without any, or green under one that is not in unseen.
func run(ctx context.Context, module string, out io.Writer) error {
	started := time.Now()
	work, err := os.MkdirTemp("", "vectors")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	module, err = filepath.Abs(module)
	if err != nil {
		return err
	}
	edits, binary, err := build(ctx, module, work)
	if err != nil {
		return err
	}
	reds, err := tryAll(ctx, binary, module, len(edits))
	if err != nil {
		return err
	}
	if len(reds[0]) > 0 {
		return fmt.Errorf("with all checks in place, these are red: %s", strings.Join(reds[0], ", "))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PLACE\tEDIT\tRED\tSUCH AS")
	survivors, excused := 0, 0
	for i, e := range edits {
		red := reds[i+1]
		switch {
		case len(red) > 0:
		case unseen[e.String()] != "":
			excused++
		default:
			survivors++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", e.place, e, outcome(red, unseen[e.String()]))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, file := range slices.Sorted(maps.Keys(elsewhere)) {
		fmt.Fprintf(out, "not here: %s (%s)\n", file, elsewhere[file])
	}
	fmt.Fprintf(out, "%d edits: %d turn a vector red, %d cannot, for the reason given, %d survive; %.1f s\n",
		len(edits), len(edits)-excused-survivors, excused, survivors, time.Since(started).Seconds())
	if survivors > 0 {
		return errors.New("a check can go and no vector notices")
	}
	return nil
}

// outcome gives the last two columns of the table.
func outcome(red []string, unseen string) string {
	switch {
	case len(red) > 0:
		return fmt.Sprintf("%d\t%s", len(red), red[0])
	case unseen != "":
		return fmt.Sprintf("-\t(%s)", unseen)
	}
	return "NONE\t"
}

// build makes the test binary of the vectors with all edits in it. The path of
// the module is absolute.
func build(ctx context.Context, module, work string) (edits []edit, binary string, err error) {
	sources, err := filepath.Glob(filepath.Join(module, "*.go"))
	if err != nil {
		return nil, "", err
	}
	overlay := map[string]string{}
	for _, path := range sources {
		name := filepath.Base(path)
		source, err := os.ReadFile(path) // all, so that go test notices when one changes
		if err != nil {
			return nil, "", err
		}
		switch {
		case elsewhere[name] != "":
		case strings.HasPrefix(name, "vectors_") && strings.HasSuffix(name, "_test.go"):
		case strings.HasSuffix(name, "_test.go"):
			overlay[path] = "" // as if it were not there
		default:
			edited, err := instrument(name, source, &edits)
			if err != nil {
				return nil, "", err
			}
			overlay[path] = filepath.Join(work, name)
			if err := os.WriteFile(overlay[path], edited, 0o600); err != nil {
				return nil, "", err
			}
		}
	}
	if len(edits) == 0 {
		return nil, "", fmt.Errorf("no checks found in %s", module)
	}
	binary, err = compile(ctx, module, work, overlay)
	return edits, binary, err
}

func compile(ctx context.Context, module, work string, overlay map[string]string) (string, error) {
	switchFile := filepath.Join(work, "switch.go")
	if err := os.WriteFile(switchFile, []byte(switchSource), 0o600); err != nil {
		return "", err
	}
	overlay[filepath.Join(module, "edit_switch.go")] = switchFile
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return "", err
	}
	listFile := filepath.Join(work, "overlay.json")
	if err := os.WriteFile(listFile, list, 0o600); err != nil {
		return "", err
	}
	binary := filepath.Join(work, "vectors.test")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-overlay", listFile, "-o", binary, ".")
	cmd.Dir = module
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go test -c: %w\n%s", err, output)
	}
	return binary, nil
}

var failed = regexp.MustCompile(`(?m)^ *--- FAIL: TestVectors/(\S+)`)

// tryAll runs the vectors under each edit, as many at a time as there are
// processors, and gives the red ones; the first are those without any edit.
func tryAll(ctx context.Context, binary, module string, edits int) ([][]string, error) {
	reds, errs := make([][]string, edits+1), make([]error, edits+1)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.NumCPU() {
		workers.Go(func() {
			for number := int(next.Add(1)) - 1; number <= edits; number = int(next.Add(1)) - 1 {
				reds[number], errs[number] = try(ctx, binary, module, number)
			}
		})
	}
	workers.Wait()
	return reds, errors.Join(errs...)
}

// try runs the vectors under one edit and gives the red ones. A crash is one.
func try(ctx context.Context, binary, module string, number int) (red []string, err error) {
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^TestVectors$", "-test.timeout", "60s")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", switchVariable, number), "GOMAXPROCS=1") // tryAll fills the processors
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err == nil:
		return nil, nil
	case !errors.As(err, &exit):
		return nil, err
	}
	for _, match := range failed.FindAllSubmatch(output, -1) {
		red = append(red, string(match[1]))
	}
	if strings.Contains(string(output), "\npanic: ") || len(red) == 0 {
		return []string{"crash, in " + strings.Join(red, ", ")}, nil
	}
	return red, nil
}
