// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
)

var inDays = regexp.MustCompile(`^\+?([0-9]+)([dw])$`)

// FuzzAge: days and weeks are what they are in numbers of any size, anything else is what
// time.ParseDuration reads, and none is taken that is nothing or longer than it can be.
func FuzzAge(f *testing.F) {
	for _, text := range []string{"90d", "12w", "36h", "1h30m", "0d", "-1d", "106751d", "106752d", "9223372036854775807w", "1.5d", "d", "", "+2w", "2w3d", "5ns"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := new(big.Int)
		if match := inDays.FindStringSubmatch(text); match != nil {
			want.SetString(match[1], 10)
			unit := map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[match[2]]
			want.Mul(want, big.NewInt(int64(unit)))
		} else if d, err := time.ParseDuration(text); err == nil {
			want.SetInt64(int64(d))
		}
		var a age
		err := a.Set(text)
		if ok := want.Sign() > 0 && want.IsInt64(); ok != (err == nil) || ok && int64(a) != want.Int64() {
			t.Errorf("%q is %d, %v; want %s", text, a, err, want)
		}
	})
}

// FuzzRefuseSecrets has a key or a token among any other words. It is refused; the command line
// that is shown, and the error, have no piece of it.
func FuzzRefuseSecrets(f *testing.F) {
	for _, form := range argvForms {
		before, after, _ := strings.Cut(form, "KEY")
		f.Add(before, strings.ReplaceAll(after, "KEY", "x"), false)
	}
	f.Add("push --match=", ",b", true)
	f.Add("exec-env -- app ", "", true)
	f.Fuzz(func(t *testing.T, before, after string, token bool) {
		secret := testKey
		if token {
			secret = testToken
		}
		if strings.ContainsAny(last(before)+first(after), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+/=") || strings.Contains(before, bearer) || strings.Contains(before, "exec-env") {
			return // a part of a longer word, or what is another program's
		}
		args := strings.Fields(before + secret + after)
		err := refuseSecrets(args)
		if err == nil {
			t.Fatalf("%q passes", args)
		}
		for i := range len(secret) - 5 {
			if strings.Contains(err.Error(), secret[i:i+6]) {
				t.Fatalf("%q shows a piece of it", err)
			}
		}
	})
}

// last and first give the character at an end of a text.
func last(text string) string  { return text[max(0, len(text)-1):] }
func first(text string) string { return text[:min(1, len(text))] }

// FuzzIgnore: each word of --ignore is taken as one thing, and what is taken as a copy or as a
// kind is a name that Kubernetes takes.
func FuzzIgnore(f *testing.F) {
	for _, words := range []string{"history", "mentions,manifests", "widgets.example.com", "a/b", "A/b", "/b", "a/", "History", "secrets,a/b/c", ""} {
		f.Add(words)
	}
	f.Fuzz(func(t *testing.T, list string) {
		o := &retireOptions{ignore: strings.Split(list, ","), strict: true}
		o.output, o.parallel = "", defaultParallel
		if o.validate("") != nil {
			return
		}
		i := o.ignored()
		var again []string
		for word, is := range map[string]bool{action.IgnoreHistory: i.History, action.IgnoreMentions: i.Mentions, action.IgnoreManifests: i.Manifests} {
			if is {
				again = append(again, word)
			}
			if slices.Contains(i.Kinds, word) {
				t.Errorf("%s is taken as a kind", word)
			}
		}
		again = append(append(again, i.Copies...), i.Kinds...)
		slices.Sort(again)
		words := slices.Sorted(slices.Values(o.ignore))
		if !slices.Equal(slices.Compact(again), slices.Compact(words)) {
			t.Errorf("%q is taken as %+v", o.ignore, i)
		}
		for _, name := range append(i.Copies, i.Kinds...) {
			if strings.ContainsAny(name, " \t\n\r\x00\x1b$'\"") && !strings.Contains(name, "/") {
				t.Errorf("%q is taken as %+v", name, i)
			}
		}
	})
}

// FuzzSelector: the namespaces of a policy are those that the labels of --selector mean to
// apimachinery, and never all.
func FuzzSelector(f *testing.F) {
	for _, text := range []string{"a=b", "a in (b,c),!d", "a!=b", "", "a", ",", "a==b,c notin (d)", "a>1", "-=x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, _, _ := newApp()
		where, err := a.policyNamespaces(text)
		want, wantErr := labels.Parse(text)
		if err != nil {
			return
		}
		got, err := metav1.LabelSelectorAsSelector(where)
		if err != nil || wantErr != nil || got.Empty() || got.String() != strings.ReplaceAll(want.String(), "==", "=") {
			t.Errorf("%q means %v, %v; want %v, %v", text, got, err, want, wantErr)
		}
	})
}
