// SPDX-License-Identifier: Apache-2.0

// Command mutate breaks each promise of docs/trust.md on purpose, one change of the code at a
// time, and expects the test that holds the promise to turn red. The tree is not touched: the
// compiler is given the changed file in the place of the real one.
//
//	bin/localkube run -- go run ./hack/mutate [-run PATTERN]
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// mutation is one change, what it breaks, and the test that has to notice it.
type mutation struct {
	rule, clause string // of docs/trust.md
	file         string
	old, new     string // old stands in the file once
	dir, test    string // of the test
}

func (m mutation) name() string { return m.rule + ": " + m.clause }

// goTest runs tests of a package; with an overlay, of the changed code.
func goTest(dir, pattern, overlay string) *exec.Cmd {
	args := []string{"test", "-count=1", "-timeout=20m", "-run", "^(" + pattern + ")$"}
	module, within := ".", "./"+dir
	if rest, ok := strings.CutPrefix(dir, "decrypt"); ok {
		module, within = "decrypt", "."+rest
	}
	cmd := exec.Command("go", append(args, within)...) // #nosec G204 -- from the list
	cmd.Dir = module
	if overlay != "" { // in the environment, so that what a test builds itself is changed too
		cmd.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay)
	}
	return cmd
}

func main() {
	pattern := flag.String("run", "", "only mutations whose rule and clause match")
	parallel := flag.Int("parallel", 2, "how many at once")
	flag.Parse()
	if err := run(*pattern, *parallel); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(pattern string, parallel int) error {
	chosen, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	picked := slices.DeleteFunc(slices.Clone(mutations), func(m mutation) bool { return !chosen.MatchString(m.name()) })
	if err := unmutated(picked, parallel); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(parallel)
	survived := make([]error, len(picked))
	for i, m := range picked {
		group.Go(func() error {
			began := time.Now()
			survived[i] = m.try()
			verdict := "killed by " + m.test
			if survived[i] != nil {
				verdict = "SURVIVED: " + survived[i].Error()
			}
			fmt.Printf("%-100s %s (%.0f s)\n", m.name(), verdict, time.Since(began).Seconds())
			return nil
		})
	}
	_ = group.Wait()
	lost := slices.DeleteFunc(survived, func(err error) bool { return err == nil })
	fmt.Printf("%d of %d mutations were killed\n", len(picked)-len(lost), len(picked))
	if len(lost) > 0 {
		return errors.New("a promise could be broken unnoticed")
	}
	return nil
}

// unmutated wants each test green as the code is.
func unmutated(picked []mutation, parallel int) error {
	tests := map[string][]string{} // by package
	for _, m := range picked {
		if !slices.Contains(tests[m.dir], m.test) {
			tests[m.dir] = append(tests[m.dir], m.test)
		}
	}
	var group errgroup.Group
	group.SetLimit(parallel)
	for dir, names := range tests {
		group.Go(func() error {
			out, err := goTest(dir, strings.Join(names, "|"), "").CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s is not green without a mutation: %w\n%s", dir, err, out)
			}
			fmt.Printf("%s: %d tests are green without a mutation\n", dir, len(names))
			return nil
		})
	}
	return group.Wait()
}

// try gives nil where the test turned red, and else why not.
func (m mutation) try() error {
	work, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	overlay, err := m.overlay(work)
	if err != nil {
		return err
	}
	out, err := goTest(m.dir, m.test, overlay).CombinedOutput()
	switch {
	case err == nil:
		return errors.New("the test stays green")
	case bytes.Contains(out, []byte("[build failed]")), bytes.Contains(out, []byte("[setup failed]")):
		return fmt.Errorf("it does not compile: %s", out)
	case !bytes.Contains(out, []byte("--- FAIL")) && !bytes.Contains(out, []byte("panic: ")):
		return fmt.Errorf("the test did not run: %s", out)
	}
	return nil
}

// overlay writes the changed file, and the file that puts it in the real one's place.
func (m mutation) overlay(work string) (string, error) {
	source, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	changed, err := m.apply(source)
	if err != nil {
		return "", err
	}
	real, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	file := filepath.Join(work, filepath.Base(m.file))
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {real: file}})
	if err == nil {
		err = os.WriteFile(file, changed, 0o600)
	}
	name := filepath.Join(work, "overlay.json")
	if err == nil {
		err = os.WriteFile(name, replace, 0o600)
	}
	return name, err
}

// apply changes the text of a file.
func (m mutation) apply(source []byte) ([]byte, error) {
	if n := bytes.Count(source, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s has %d times, not once: %s", m.file, n, m.old)
	}
	return bytes.Replace(source, []byte(m.old), []byte(m.new), 1), nil
}
