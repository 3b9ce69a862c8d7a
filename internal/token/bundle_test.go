// SPDX-License-Identifier: Apache-2.0

package token_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

func entries(of ...string) (all []token.Entry) {
	for i := 0; i < len(of); i += 2 {
		all = append(all, token.Entry{Name: of[i], Token: of[i+1]})
	}
	return all
}

// The order is that of bytes: capitals, "_" and small letters, and "-" before all of them.
func TestJoin(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []token.Entry
		want string
	}{
		{"none", nil, ""},
		{"one", entries("SECRET_A", "t1"), "SECRET_A t1\n"},
		{"sorted bytewise", entries("secret", "t1", "SECRET_A", "t2", "SECRET-A", "t3", "SECRET", "t4", "SECRET10", "t5", "SECRET9", "t6"),
			"SECRET t4\nSECRET-A t3\nSECRET10 t5\nSECRET9 t6\nSECRET_A t2\nsecret t1\n"},
		{"a name twice", entries("A", "t2", "A", "t1"), "A t1\nA t2\n"},
	} {
		before := slices.Clone(tt.in)
		if got := token.Join(tt.in); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if !slices.Equal(tt.in, before) {
			t.Errorf("%s: what was handed in is %v now", tt.name, tt.in)
		}
		if token.Joined(tt.want) != (len(tt.in) > 0) {
			t.Errorf("%s: Joined is %t", tt.name, token.Joined(tt.want))
		}
	}
	if text := forge(0x80, 1, pad(15)); token.Joined(text) {
		t.Error("one token alone counts as joined")
	}
}

// Split gives what was joined, sorted, whatever the order was; no other set has that text.
func TestSplitIsTheReverse(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	texts := map[string]string{}
	for range 500 {
		var in []token.Entry
		for i := range random.IntN(6) {
			in = append(in, token.Entry{Name: fmt.Sprintf("A%d", random.IntN(3)+i*3), Token: fmt.Sprintf("t%d", random.IntN(2))})
		}
		random.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
		text := token.Join(in)
		slices.SortFunc(in, token.Compare)
		if got := token.Split(text); !slices.Equal(got, in) {
			t.Errorf("%v, want %v", got, in)
		}
		if was, known := texts[text]; known && was != fmt.Sprint(in) {
			t.Errorf("%q is the text of %s and of %v", text, was, in)
		}
		texts[text] = fmt.Sprint(in)
	}
}

// What a token stands for: by itself, as a bundle, and as one entry of a bundle.
func TestEntries(t *testing.T) {
	bundle := token.Join(entries("SECRET_A", "t1", "SECRET-A", "t2"))
	for _, tt := range []struct {
		name         string
		envKey, text string
		want         []token.Entry
	}{
		{"nothing", "SECRET_A", "", nil},
		{"nothing of a bundle", "", "", nil},
		{"a single token", "SECRET_A", "t1", entries("SECRET_A", "t1")},
		{"a bundle", "", bundle, entries("SECRET-A", "t2", "SECRET_A", "t1")},
		{"one entry of a bundle", "SECRET_A", bundle, entries("SECRET_A", "t1")},
		{"the other entry, which normalises alike", "SECRET-A", bundle, entries("SECRET-A", "t2")},
		{"an entry that the bundle has not", "SECRET", bundle, nil},
		{"a bundle of one", "", token.Join(entries("SECRET_A", "t1")), entries("SECRET_A", "t1")},
	} {
		whole := token.Token{Namespace: "ns", Secret: "s", EnvKey: tt.envKey, Token: tt.text, Binding: "b"}
		if got := whole.Entries(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
		each := whole.Each()
		if len(each) != len(tt.want) {
			t.Fatalf("%s: each is %v", tt.name, each)
		}
		for i, e := range each {
			want := token.Token{Namespace: "ns", Secret: "s", EnvKey: tt.want[i].Name, Token: tt.want[i].Token}
			if !token.Joined(tt.text) {
				want.Binding = "b" // a single token's own; what binds a bundle binds none of its entries
			}
			if e != want {
				t.Errorf("%s: %+v, want %+v", tt.name, e, want)
			}
		}
	}
}

// One entry of a bundle keeps the text and the binding of the whole: they prove it.
func TestEntryOfABundle(t *testing.T) {
	whole := token.Token{Namespace: "ns", Secret: "web-g1", Token: token.Join(entries("A", "t1", "B", "t2")), Binding: "b"}
	want := whole
	want.EnvKey = "B"
	if got := whole.Entry("B"); got != want || whole.EnvKey != "" {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// The number of a bundle's entries stands in its binding: in decimal, from 1, one way only.
func TestBundleSize(t *testing.T) {
	for _, tt := range []struct {
		binding string
		n       int
		bundled bool
	}{
		{"v2:1:AAAA", 1, true}, {"v2:300:AAAA", 300, true}, {"v2:12:", 12, true},
		{"v2:0:AAAA", 0, true}, {"v2:-1:AAAA", 0, true}, {"v2:+1:AAAA", 0, true}, {"v2:01:AAAA", 0, true}, {"v2:1.0:AAAA", 0, true},
		{"v2: 1:AAAA", 0, true}, {"v2::AAAA", 0, true}, {"v2:1", 0, true}, {"v2:", 0, true}, {"v2:x:1:AAAA", 0, true},
		{"v2:99999999999999999999:AAAA", 0, true},
		{"v1:1:AAAA", 0, false}, {"v1:AAAA", 0, false}, {"v22:1:AAAA", 0, false}, {"V2:1:AAAA", 0, false}, {" v2:1:AAAA", 0, false}, {"", 0, false},
	} {
		n, ok := token.BundleSize(tt.binding)
		if ok != (tt.n > 0) || ok && n != tt.n {
			t.Errorf("%q: %d, %t; want %d", tt.binding, n, ok, tt.n)
		}
		if token.Bundled(tt.binding) != tt.bundled {
			t.Errorf("%q: bundled is %t", tt.binding, !tt.bundled)
		}
	}
}

// FuzzSplit takes any text. Whatever comes out as entries goes in again, where the names
// and tokens are such as can be.
func FuzzSplit(f *testing.F) {
	f.Add("A t\nB t\n")
	f.Add("A t")
	f.Add("\n\n A  t \n")
	f.Fuzz(func(t *testing.T, text string) {
		all := token.Split(text)
		for _, e := range all {
			if strings.ContainsAny(e.Name, " \n") || strings.Contains(e.Token, "\n") {
				t.Fatalf("%q gives %q", text, all)
			}
		}
		if again := token.Split(token.Join(all)); len(again) != len(all) {
			t.Errorf("%q: %q, and then %q", text, all, again)
		}
	})
}
