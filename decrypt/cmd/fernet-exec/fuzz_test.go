// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

// FuzzRename takes any environment of variables that were opened and of others, and any table
// of names. A map does the same: each opened value is under its new names and, unless it was
// moved, under its old one; one value for a name, or it is an error.
func FuzzRename(f *testing.F) {
	f.Add("A=a,B=b,Z=z", "A,B", "N=A")
	f.Add("A=a,B=b", "A,B", "A=B,B=A")
	f.Add("A=a", "A", "N=A,M=A,N=A,A=A")
	f.Add("A=a,B=b,C", "A,B", "C=A,C=B")
	f.Add("A=a,N=x,=x", "A", "N=A,X=Y")
	f.Add("A=a,A=b", "A", "N=A")
	f.Fuzz(func(t *testing.T, environ, names, table string) {
		env, opened, values := strings.Split(environ, ","), decrypt.Secrets{}, map[string]string{}
		for _, entry := range env {
			name, value, found := strings.Cut(entry, "=")
			if _, twice := values[name]; twice || !found {
				return // TestRenameOfTwoWithOneName has these
			}
			values[name] = value
		}
		for _, name := range strings.Split(names, ",") {
			if value, found := values[name]; found {
				opened[name] = decrypt.Result{Plaintext: []byte(value)}
			}
		}
		var renamings []renaming
		for _, text := range strings.Split(table, ",") {
			if err := renameTo(&renamings)(text); err != nil && strings.Count(text, "=") == 1 && !strings.HasPrefix(text, "=") && !strings.HasSuffix(text, "=") && !strings.Contains(text, "FERNET_KEY") {
				t.Errorf("%q: %v", text, err)
			}
		}
		want, isOpened, ok := renamedByMap(renamings, values, opened)
		moved, after, err := rename(renamings, env, opened)
		if (err == nil) != ok {
			t.Fatalf("%q with %q: %v", environ, table, err)
		}
		if err != nil {
			return
		}
		got := map[string]string{}
		for _, entry := range moved {
			name, value, _ := strings.Cut(entry, "=")
			got[name] = value
		}
		if !reflect.DeepEqual(got, want) || len(moved) != len(want) || len(after) != len(isOpened) {
			t.Errorf("%q with %q: %q, opened %d; want %q, %v", environ, table, moved, len(after), want, isOpened)
		}
		for name := range after {
			if !isOpened[name] || string(after[name].Plaintext) != want[name] {
				t.Errorf("%s is %q", name, after[name].Plaintext)
			}
		}
	})
}

// renamedByMap is what is to come of a table; ok says that it can be.
func renamedByMap(table []renaming, values map[string]string, opened decrypt.Secrets) (want map[string]string, isOpened map[string]bool, ok bool) {
	want, isOpened = map[string]string{}, map[string]bool{}
	from := map[string]string{}
	for _, r := range table {
		if _, found := opened[r.from]; !found {
			return nil, nil, false
		}
		if other, taken := from[r.to]; taken && other != r.from {
			return nil, nil, false
		}
		from[r.to] = r.from
	}
	stays := func(name string) bool {
		for _, r := range table {
			if r.from == name {
				return false
			}
		}
		return true
	}
	for name, value := range values {
		if _, taken := from[name]; taken && stays(name) {
			return nil, nil, false
		}
		if _, is := opened[name]; stays(name) {
			want[name] = value
			if is {
				isOpened[name] = true
			}
		}
	}
	for to, old := range from {
		want[to], isOpened[to] = values[old], true
	}
	return want, isOpened, true
}

// FuzzOptions takes any arguments, between zero bytes. Those that are taken can be written out
// in full, and mean the same; an error shows no token.
func FuzzOptions(f *testing.F) {
	token := strings.Repeat("gAAAAABlU_EAMDEyMzQ1Njc4OWFiY2RlZqrtKI", 4)
	for _, args := range []string{
		"--dir=/a --match SECRET_* --skip=B --require C --rename N=A -- app --port 80", "--write /run/x/ --mode 0440 --owner 1:2 --any-filesystem", "--install /fernet/",
		"-keep-keys -rename=A=B env", "--mode 0777 --write /a", "--owner 1: --write /a", "--owner -1 --write /a", "--match a,b --dir /a x", "--write= x", "-- --dir", "--rename " + token, "--dir " + token + " --write /a", "--x=" + token,
	} {
		f.Add(strings.ReplaceAll(args, " ", "\x00"))
	}
	f.Fuzz(func(t *testing.T, list string) {
		o, err := parse(strings.Split(list, "\x00"))
		if err != nil {
			var entries decrypt.EntryErrors
			if strings.Contains(line(err.Error()), token) || errors.As(err, &entries) {
				t.Errorf("%q", line(err.Error()))
			}
			return
		}
		again, err := parse(o.written())
		if err != nil || !reflect.DeepEqual(again, o) {
			t.Errorf("%q is %+v; written out, %q, it is %+v, %v", list, o, o.written(), again, err)
		}
	})
}

// written gives the arguments that mean these options.
func (o options) written() (args []string) {
	add := func(flag string, values ...string) {
		for _, value := range values {
			args = append(args, "--"+flag+"="+value)
		}
	}
	add("dir", o.dirs...)
	add("match", o.match...)
	add("skip", o.skip...)
	add("require", o.require...)
	for _, r := range o.rename {
		add("rename", r.to+"="+r.from)
	}
	if o.install != "" {
		add("install", o.install)
	}
	if o.keepKeys {
		add("keep-keys", "true")
	}
	if o.files.dir != "" {
		add("write", o.files.dir)
		add("mode", fmt.Sprintf("%o", o.files.mode))
		add("any-filesystem", fmt.Sprint(o.files.anyFS))
		switch {
		case o.files.gid >= 0:
			add("owner", fmt.Sprintf("%d:%d", o.files.uid, o.files.gid))
		case o.files.uid >= 0:
			add("owner", fmt.Sprint(o.files.uid))
		}
	}
	return append(append(args, "--"), o.command...)
}
