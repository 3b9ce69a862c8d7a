// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

// renaming moves what was opened as from, a variable or a file, to another name.
type renaming struct{ to, from string }

var (
	errNotThere = errors.New("--rename: no variable and no file of this name was opened; it is NEW=OLD, and OLD is the name in the pod")
	errPlain    = errors.New("not sealed, and --rename moves opened values alone: push it with kubectl fernet, or give it its name in the pod")
)

// renameTo takes NEW=OLD. No name of a variable has a =.
func renameTo(list *[]renaming) func(value string) error {
	return func(value string) error {
		to, from, found := strings.Cut(value, "=")
		switch {
		case !found || to == "" || from == "":
			return errors.New("it is not NEW=OLD")
		case to == "FERNET_KEY" || to == "FERNET_KEY_PREVIOUS":
			return errors.New("these names are for keys")
		}
		*list = append(*list, renaming{to, from})
		return nil
	}
}

// requireMoved lets a value be opened under a name that the loader or a shell obeys
// if it is moved away from there. (To move one to such a name is to ask for it by
// its exact name, which is allowed.) A plain value under the old name is an error.
func requireMoved(renamings []renaming) decrypt.Option {
	literal := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)
	var names []string
	for _, r := range renamings {
		names = append(names, literal.Replace(r.from))
	}
	return decrypt.Require(names...)
}

// explainMoved says of a plain value that it was to be moved; globs, of which the
// error speaks else, have no part in it.
func explainMoved(renamings []renaming, err error) error {
	var entries decrypt.EntryErrors
	if !errors.As(err, &entries) {
		return err
	}
	for _, entry := range entries {
		for _, r := range renamings {
			if entry.Dir == "" && entry.Name == r.from && errors.Is(entry.Err, decrypt.ErrNotSealed) {
				entry.Err = errPlain
			}
		}
	}
	return entries
}

// rename gives an environment in which opened values have their new names, at the
// places of the old ones, and what was opened by these names.
func rename(renamings []renaming, env []string, opened decrypt.Secrets) ([]string, decrypt.Secrets, error) {
	refused := missing(renamings, opened)
	moves := map[string][]string{}
	for _, r := range renamings {
		if !contains(moves[r.from], r.to) {
			moves[r.from] = append(moves[r.from], r.to)
		}
	}
	var moved []string
	renamed := decrypt.Secrets{}
	from := map[string][]string{} // the old names of those that come to have a name
	for _, entry := range env {
		name, value, found := strings.Cut(entry, "=")
		if !found {
			moved = append(moved, entry)
			continue
		}
		result, isOpened := opened[name]
		names := moves[name]
		if !isOpened || names == nil {
			names = []string{name}
		}
		for _, to := range names {
			moved = append(moved, to+"="+value)
			if isOpened {
				renamed[to] = result
			}
			if !contains(from[to], name) {
				from[to] = append(from[to], name)
			}
		}
	}
	if refused = append(refused, collisions(renamings, from)...); len(refused) > 0 {
		return nil, nil, refused
	}
	return moved, renamed, nil
}

// missing gives an error for each old name under which nothing was opened.
func missing(renamings []renaming, opened decrypt.Secrets) decrypt.EntryErrors {
	var refused decrypt.EntryErrors
	said := map[string]bool{}
	for _, r := range renamings {
		if _, found := opened[r.from]; !found && !said[r.from] {
			refused = append(refused, &decrypt.EntryError{Name: r.from, Err: errNotThere})
			said[r.from] = true
		}
	}
	return refused
}

// collisions gives an error for each new name that more than one value would have.
func collisions(renamings []renaming, from map[string][]string) decrypt.EntryErrors {
	var refused decrypt.EntryErrors
	said := map[string]bool{}
	for _, r := range renamings {
		if len(from[r.to]) < 2 || said[r.to] {
			continue
		}
		said[r.to] = true
		why := fmt.Errorf("--rename: %s would all have this name; choose another for all but one", strings.Join(from[r.to], ", "))
		if contains(from[r.to], r.to) {
			why = errors.New("--rename: a variable or file has this name already; choose another, or move that one away too")
		}
		refused = append(refused, &decrypt.EntryError{Name: r.to, Err: why})
	}
	return refused
}

func contains(list []string, name string) bool {
	for _, entry := range list {
		if entry == name {
			return true
		}
	}
	return false
}

func sortedNames(opened decrypt.Secrets) []string {
	names := make([]string, 0, len(opened))
	for name := range opened {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
