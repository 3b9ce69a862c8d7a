// SPDX-License-Identifier: Apache-2.0

// Command docs writes docs/cli (a page for each verb) and docs/man (the same as
// man pages) from the plugin's own command tree. With -check it writes nothing
// and fails where the files are not what it would write.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/kubectl-fernet/kubectl-fernet/internal/cli"
)

func main() {
	check := flag.Bool("check", false, "fail where the files differ, and write nothing")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

func run(check bool) error {
	// Some defaults are below the home folder, which is not the reader's.
	if err := os.Setenv("HOME", "$HOME"); err != nil {
		return err
	}
	pages, err := pages(cli.Command())
	if err != nil {
		return err
	}
	if check {
		return compare(pages)
	}
	for name, text := range pages {
		if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// pages gives all files by name.
func pages(root *cobra.Command) (map[string][]byte, error) {
	all := map[string][]byte{}
	root.DisableAutoGenTag = true
	for _, cmd := range append(root.Commands(), root) {
		if cmd.Hidden {
			continue
		}
		cmd.DisableAutoGenTag = true
		cmd.Long = asMarkdown(cmd.Long)
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
		var page, man bytes.Buffer
		if err := doc.GenMarkdownCustom(cmd, &page, link); err != nil {
			return nil, err
		}
		header := &doc.GenManHeader{Title: strings.ToUpper(name), Section: "1", Source: "kubectl-fernet", Manual: "kubectl fernet"}
		if err := doc.GenMan(cmd, header, &man); err != nil {
			return nil, err
		}
		all[filepath.Join("docs", "cli", name+".md")] = page.Bytes()
		all[filepath.Join("docs", "man", name+".1")] = man.Bytes()
	}
	return all, nil
}

// asMarkdown makes the tables of a help, which are indented by two blanks, blocks of Markdown:
// else the lines of one would run together.
func asMarkdown(help string) string { return strings.ReplaceAll(help, "\n  ", "\n    ") }

// link turns the name of a page as cobra makes it into ours.
func link(name string) string { return strings.ReplaceAll(name, "_", "-") }

// compare names the files that are not as they would be written, and those that
// nobody writes any more.
func compare(pages map[string][]byte) error {
	var errs []error
	for name, text := range pages {
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, text) {
			errs = append(errs, fmt.Errorf("%s is out of date", name))
		}
	}
	for _, pattern := range []string{"docs/cli/*", "docs/man/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, name := range found {
			if pages[name] == nil {
				errs = append(errs, fmt.Errorf("%s is of no command", name))
			}
		}
	}
	if len(errs) > 0 {
		errs = append(errs, errors.New("type: make docs"))
	}
	return errors.Join(errs...)
}
