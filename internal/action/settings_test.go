// SPDX-License-Identifier: Apache-2.0

package action

import (
	"slices"
	"strings"
	"testing"

	"github.com/kubectl-fernet/kubectl-fernet/internal/envfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/names"
)

func parsedSettings(t *testing.T, env string) (Settings, error) {
	t.Helper()
	file, err := envfile.Parse(".env", []byte(env))
	if err != nil {
		t.Fatal(err)
	}
	return readSettings(file)
}

func TestSettingsAreRead(t *testing.T) {
	for env, want := range map[string]string{
		"":                   "[] [] '' ''",
		"FERNET_NAMESPACE=a": "[a] [] '' ''",
		"# c\r\nFERNET_NAMESPACE = 'a , b' # both\r\nSECRET_A=x": "[a b] [] '' ''",
		"export FERNET_MATCH=\" API_* ,DB \"":                    "[] [API_* DB] '' ''",
		"FERNET_MATCH='[A-C]?\\*'":                               "[] [[A-C]?\\*] '' ''",
		"FERNET_BUNDLE=web\nFERNET_KEY_SECRET=fernet.key":        "[] [] 'web' 'fernet.key'",
		"FERNET_BUNDLE=\nFERNET_NAMESPACE=''\nFERNET_MATCH=\"\"": "[] [] '' ''",
		"FERNET_BUNDLE=' '\nFERNET_KEY_SECRET=":                  "[] [] '' ''",
	} {
		s, err := parsedSettings(t, env)
		got := "[" + strings.Join(s.Namespaces, " ") + "] [" + strings.Join(s.Match, " ") + "] '" + s.Bundle + "' '" + s.KeySecret + "'"
		if err != nil || got != want {
			t.Errorf("%q: %s, %v, want %s", env, got, err, want)
		}
	}
}

func TestSettingsAreRefused(t *testing.T) {
	const noBase = ": not the name of a Secret: up to 241 lower-case"
	for env, want := range map[string]string{
		"\nFERNET_NAMESPACE=Shop":       ".env:2: FERNET_NAMESPACE: item 1 is no namespace: ",
		"FERNET_NAMESPACE=a,,b":         ".env:1: FERNET_NAMESPACE: item 2 is no namespace: ",
		"FERNET_NAMESPACE=a,":           ".env:1: FERNET_NAMESPACE: item 2 is no namespace: ",
		"FERNET_NAMESPACE=a.b":          ".env:1: FERNET_NAMESPACE: item 1 is no namespace: ",
		"FERNET_NAMESPACE='a, b ,a'":    ".env:1: FERNET_NAMESPACE: item 3 is the same namespace as one before it",
		"A=1\r\n\r\nFERNET_MATCH=OK,[a": ".env:3: FERNET_MATCH: pattern 2 is no valid one",
		"FERNET_MATCH=,API_*":           ".env:1: FERNET_MATCH: pattern 1 is empty",
		"FERNET_MATCH=" + testKey:       ".env:1: FERNET_MATCH: pattern 1 can match no name of an entry",
		"FERNET_MATCH='API_* DB_*'":     ".env:1: FERNET_MATCH: pattern 1 can match no name of an entry",
		"FERNET_BUNDLE=Web":             ".env:1: FERNET_BUNDLE" + noBase,
		"FERNET_BUNDLE=web_1":           ".env:1: FERNET_BUNDLE" + noBase,
		"FERNET_BUNDLE=web-g2":          ".env:1: FERNET_BUNDLE" + noBase,
		"FERNET_BUNDLE=-web":            ".env:1: FERNET_BUNDLE" + noBase,
		"FERNET_KEY_SECRET=" + strings.Repeat("a", names.MaxBase+1): ".env:1: FERNET_KEY_SECRET" + noBase,
		"FERNET_KEY_SECRET=" + testKey:                              ".env:1: FERNET_KEY_SECRET" + noBase,
		"FERNET_BUNDLE=a\n#\nFERNET_KEY_SECRET=a":                   ".env:3: FERNET_KEY_SECRET is the name of the bundle too (.env:1: FERNET_BUNDLE)",
	} {
		_, err := parsedSettings(t, env)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s…", env, err, want)
		}
		if err != nil && strings.Contains(err.Error(), testKey[:8]) {
			t.Errorf("%q: shows the value: %v", env, err)
		}
	}
}

func TestFlagsOverrideSettings(t *testing.T) {
	s, err := parsedSettings(t, "FERNET_NAMESPACE=a,b\nFERNET_MATCH=API_*\nFERNET_BUNDLE=web\nFERNET_KEY_SECRET=ring\n")
	if err != nil {
		t.Fatal(err)
	}
	var r Request
	r.Target.Namespace, r.Match, r.Bundle, r.KeySecret = "c", []string{"DB_*"}, "shop", "keys"
	over, err := s.applied(r)
	if err != nil || !slices.Equal(over.Namespaces, []string{"c"}) || !slices.Equal(over.Match, r.Match) || over.Bundle != "shop" || over.KeySecret != "keys" {
		t.Errorf("%+v, %v", over, err)
	}
	r.KeySecret = "shop"
	if _, err := s.applied(r); err == nil || err.Error() != "--key-secret is the name of the bundle too (--bundle)" {
		t.Errorf("one name for two: %v", err)
	}
	none, err := Settings{places: map[string]string{}}.applied(Request{})
	if err != nil || !slices.Equal(none.Match, []string{"SECRET*"}) {
		t.Errorf("without anything: %+v, %v", none, err)
	}
}

// No glob reaches a variable of this program, known or not, and FERNET_MATCH alone says what
// belongs to the file.
func TestWhatGlobsChoose(t *testing.T) {
	for _, tc := range []struct {
		own, flags        []string
		chosen, belonging string
	}{
		{nil, nil, "SECRET_A", "SECRET_A API_B DB"},
		{nil, []string{"*"}, "SECRET_A API_B DB", "SECRET_A API_B DB"},
		{nil, []string{"KEY*", "FERNET_*", "CLUSTER_NAME"}, "", "SECRET_A API_B DB"},
		{[]string{"API_*"}, nil, "API_B", "API_B"},
		{[]string{"API_*"}, []string{"DB"}, "DB", "API_B DB"},
	} {
		s := Settings{Match: tc.own, own: tc.own, places: map[string]string{}}
		s, err := s.applied(Request{Match: tc.flags})
		if err != nil {
			t.Fatal(err)
		}
		var chosen, belonging []string
		for _, name := range strings.Fields("SECRET_A API_B DB KEY KEY_PREVIOUS KEY_NEXT CLUSTER_NAME FERNET_KEY FERNET_KEY_PREVIOUS FERNET_MATCH FERNET_ANYTHING") {
			if s.chooses(name) {
				chosen = append(chosen, name)
			}
			if s.belongs(name) {
				belonging = append(belonging, name)
			}
		}
		if strings.Join(chosen, " ") != tc.chosen || strings.Join(belonging, " ") != tc.belonging {
			t.Errorf("FERNET_MATCH %v, --match %v: chooses %v, and %v belong", tc.own, tc.flags, chosen, belonging)
		}
	}
}

// texts gives what was said of a kind.
func (d *desk) texts(kind Kind) (texts []string) {
	for _, e := range d.said {
		if e.Kind == kind {
			texts = append(texts, e.Text)
		}
	}
	return texts
}

func TestStrangeSettings(t *testing.T) {
	d := newDesk(t, "KEY="+testKey+"\nSECRET_A=x\nFERNET_NAMESPCE=b\nFERNET_KEY_NEXT=y\nFERNET_ZZZZZZZZZZZZZZZ=1\nFERNET_BUNDLE=web\n", "a")
	d.must((*desk).push)
	want := []string{
		".env:3: FERNET_NAMESPCE: no setting of this program; did you mean FERNET_NAMESPACE?",
		".env:4: FERNET_KEY_NEXT: no setting of this program; did you mean KEY_NEXT?",
		".env:5: FERNET_ZZZZZZZZZZZZZZZ: no setting of this program",
	}
	if notes := d.texts(Note); !slices.Equal(notes, want) {
		t.Errorf("%q", notes)
	}
}

// A name of the bundle or of the keyring is no entry's.
func TestNamesOfEntriesAreTaken(t *testing.T) {
	for env, want := range map[string]string{
		"FERNET_BUNDLE=secret-a":     ".env:3: FERNET_BUNDLE: secret-a is the Secret of SECRET_A",
		"FERNET_KEY_SECRET=secret-a": ".env:3: FERNET_KEY_SECRET: secret-a is the Secret of SECRET_A",
	} {
		d := newDesk(t, "KEY="+testKey+"\nSECRET_A=x\n"+env+"\n", "a")
		if _, err := d.open(Push{}.Needs()); err == nil || err.Error() != want {
			t.Errorf("%s: %v", env, err)
		}
	}
}

// An entry of another .env beside the ledger gets no Secret whose generations would have the
// names of a bundle's.
func TestNamesOfBundlesAreTaken(t *testing.T) {
	d := newDesk(t, "KEY="+testKey+"\nFERNET_BUNDLE=secret-web\nSECRET_A=x\n", "a")
	d.must((*desk).push)
	put(t, DefaultEnv, "KEY="+testKey+"\nSECRET_WEB=x\n")
	const want = ".env:2: SECRET_WEB: the ledger has a bundle of the name of its Secret, secret-web"
	if _, err := d.open(Push{}.Needs()); err == nil || err.Error() != want {
		t.Error(err)
	}
}

// pushTo pushes to namespaces with these globs, and gives what was decided, by namespace
// and name.
func (d *desk) pushTo(match []string, namespaces ...string) (decided []string, err error) {
	d.request.Match, d.request.Target.Namespaces = match, namespaces
	s, err := d.open(Push{Update: true}.Needs())
	if err != nil {
		return nil, err
	}
	defer s.Close()
	p, err := Push{Update: true}.Plan(d.t.Context(), s)
	if err == nil {
		err = p.Apply(d.t.Context())
	}
	if err != nil {
		return nil, err
	}
	for _, one := range p.Decisions {
		decided = append(decided, one.Row.Namespace+"/"+one.Row.Secret+" "+string(one.Outcome))
	}
	return decided, nil
}

func (d *desk) expectPush(want string, match []string, namespaces ...string) {
	d.t.Helper()
	got, err := d.pushTo(match, namespaces...)
	if err != nil || strings.Join(got, ", ") != want {
		d.t.Errorf("push --match %v to %v: %v, %v; want %s", match, namespaces, got, err, want)
	}
}

// What was pushed to a namespace and is still in the file belongs to it, whatever the glob
// of today; in another namespace it does not.
func TestWhatWasPushedBelongs(t *testing.T) {
	const env = "KEY=" + testKey + "\nSECRET_A=1\nDATABASE_URL=2\nAPI-TOKEN=3\n"
	d := newDesk(t, env)
	d.expectPush("a/secret-a created, a/database-url created, a/api-token created", []string{"*"}, "a")
	d.expectPush("a/secret-a unchanged, a/database-url unchanged, a/api-token unchanged", nil, "a")
	d.expectPush("a/secret-a unchanged, a/database-url unchanged, a/api-token unchanged, b/secret-a created", nil, "a", "b")
	put(t, ".env", strings.Replace(env, "URL=2", "URL=4", 1))
	d.expectPush("b/secret-a unchanged, a/secret-a unchanged, a/database-url-g2 created, a/api-token unchanged", nil, "b", "a")
	put(t, ".env", "KEY="+testKey+"\nSECRET_A=1\nAPI-TOKEN=3\n")
	d.expectPush("a/secret-a unchanged, a/api-token unchanged, a/database-url-g2 orphan", nil, "a")

	// What is wanted for what was pushed is checked as what matches is.
	put(t, ".env", "KEY="+testKey+"\nSECRET_A=1\nAPI-TOKEN=\n")
	if _, err := d.pushTo(nil, "a"); err == nil || err.Error() != ".env:3: API-TOKEN has no value" {
		t.Errorf("an empty value: %v", err)
	}
	d.expectPush("b/secret-a unchanged", nil, "b")
}

// Where FERNET_MATCH stands it alone decides, and what it leaves out is an orphan; --match
// replaces it for one run, in which nothing becomes one.
func TestFernetMatchDecides(t *testing.T) {
	const env = "KEY=" + testKey + "\nSECRET_A=1\nDATABASE_URL=2\nAPI_TOKEN=3\n"
	d := newDesk(t, env)
	d.expectPush("a/secret-a created, a/database-url created, a/api-token created", []string{"*"}, "a")
	put(t, ".env", env+"FERNET_MATCH='DATABASE_URL, API_*'")
	d.expectPush("a/database-url unchanged, a/api-token unchanged, a/secret-a orphan", nil, "a")
	d.expectPush("a/database-url unchanged, a/secret-a orphan", []string{"DATA*"}, "a")
	d.expectPush("a/secret-a unchanged", []string{"SECRET*"}, "a")
}

func TestNothingSelected(t *testing.T) {
	const env = "KEY=" + testKey + "\nDATABASE_URL=2\nAPI_TOKEN=3\nA=1\nB=1\nC=1\nD=1\n"
	const has = "; it has DATABASE_URL, API_TOKEN, A, B, C and 1 more"
	const first = " --match DATABASE_URL --match API_TOKEN --match A --match B --match C"
	for _, tc := range []struct {
		more      string
		match     []string
		err, hint string
	}{
		{"", nil, "no entry of .env matches SECRET*" + has, "kubectl fernet" + first},
		{"SECRET_A=x", []string{"SECRET*", "X*"}, "no entry of .env matches X*" + has, "instead of that" + first},
		{"SECRET_A=x", []string{"API_TOKN"}, "no entry of .env matches API_TOKN; it has API_TOKEN, DATABASE_URL, SECRET_A", ""},
		{"FERNET_MATCH=A,KEY*", nil, ".env:8: FERNET_MATCH: no entry matches pattern 2; it has DATABASE_URL, API_TOKEN, B, C, D", "kubectl fernet --match DATABASE_URL"},
	} {
		text := env + tc.more + "\n"
		if strings.HasPrefix(tc.more, "SECRET") && tc.match[0] != "SECRET*" {
			text = "KEY=" + testKey + "\nDATABASE_URL=2\nAPI_TOKEN=3\nSECRET_A=x\n"
		}
		d := newDesk(t, text, "a")
		d.request.Match = tc.match
		for _, needs := range []Needs{Push{}.Needs(), Diff{}.Needs(), Verify{}.Needs(), Rotate{}.Needs(), Rollout{}.Needs(), Status{}.Needs()} {
			s, err := d.open(needs)
			if err == nil {
				s.Close()
			}
			if err == nil || err.Error() != tc.err || !strings.HasPrefix(string(hint.Of(err)), tc.hint) {
				t.Errorf("%s %v: %v (%s)", tc.more, tc.match, err, hint.Of(err))
			}
		}
	}

	// What the ledger has is something to rotate, to verify and to look at.
	d := newDesk(t, "KEY="+testKey+"\nSECRET_A=1\n", "a")
	d.must((*desk).push)
	put(t, ".env", "KEY="+testKey+"\n")
	d.request.Match = nil
	for _, needs := range []Needs{Verify{}.Needs(), Rotate{}.Needs(), Rollout{}.Needs(), Status{}.Needs()} {
		s, err := d.open(needs)
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	if _, err := d.open(Push{}.Needs()); err == nil || string(hint.Of(err)) != "write NAME=VALUE into .env, one line for each secret" {
		t.Errorf("push of nothing: %v", err)
	}
}

// A verb that goes where the ledger leads takes exactly the namespaces of the .env, and says
// what that leaves out; push and diff do not follow the kubeconfig to where nothing is.
func TestNamespacesOfTheSetting(t *testing.T) {
	d := newDesk(t, "KEY="+testKey+"\nSECRET_A=1\n", "a", "b", "c")
	d.must((*desk).push)
	d.request.Target.Namespaces = nil
	for _, tc := range []struct{ setting, want, note string }{
		{"", "a b c", ""},
		{"FERNET_NAMESPACE=b", "b", "FERNET_NAMESPACE leaves out what the ledger has of .env in a, c; for one run: --namespaces a,c"},
		{"FERNET_NAMESPACE=c,b", "c b", "FERNET_NAMESPACE leaves out what the ledger has of .env in a; for one run: -n a"},
		{"FERNET_NAMESPACE=a,b,c,new", "a b c new", ""},
	} {
		put(t, ".env", "KEY="+testKey+"\nSECRET_A=1\n"+tc.setting+"\n")
		d.said = nil
		s, err := d.open(Rotate{}.Needs())
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if got := strings.Join(s.Target.Namespaces, " "); got != tc.want || strings.Join(d.texts(Note), "|") != tc.note {
			t.Errorf("%s: %s, %q", tc.setting, got, d.texts(Note))
		}
	}

	put(t, ".env", "KEY="+testKey+"\nSECRET_A=1\n")
	for _, needs := range []Needs{Push{}.Needs(), Diff{}.Needs(), Diff{Offline: true}.Needs()} {
		_, err := d.open(needs)
		if err == nil || err.Error() != `the ledger knows .env in the namespaces a, b, c, and the kubeconfig's namespace is "ns"` ||
			string(hint.Of(err)) != "--namespaces a,b,c; or write FERNET_NAMESPACE=a,b,c into .env. To go to the other one: -n ns" {
			t.Errorf("%v (%s)", err, hint.Of(err))
		}
	}
	put(t, ".env", "KEY="+testKey+"\nSECRET_B=1\n") // nothing of it is anywhere
	if s, err := d.open(Push{}.Needs()); err != nil {
		t.Error(err)
	} else {
		s.Close()
	}
	d.expectPush("ns/secret-b created", nil, "ns")
	d.expectPush("ns/secret-b unchanged", nil)
}

// A rotation takes the value of what was pushed by another glob for what it is.
func TestRotateKnowsWhatWasPushed(t *testing.T) {
	d := newDesk(t, "KEY="+testKey+"\nSECRET_A=1\nDATABASE_URL=2\n", "a")
	if _, err := d.pushTo([]string{"*"}, "a"); err != nil {
		t.Fatal(err)
	}
	d.request.Match = nil
	s, err := d.open(Rotate{}.Needs())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := Rotate{}.Plan(t.Context(), s)
	if err != nil || p.ToCreate() != 2 || len(p.Differing()) > 0 {
		t.Errorf("creates %d, differing %v, %v", p.ToCreate(), p.Differing(), err)
	}
}

// What pull writes back is what all values agree on.
func TestSettingsOfValues(t *testing.T) {
	for values, want := range map[string]string{
		"c/a/SECRET_A c/a/SECRET_B":                       "FERNET_NAMESPACE=a",
		"c/b/SECRET_A c/a/SECRET_A":                       "FERNET_NAMESPACE=a,b",
		"c/a/SECRET_A c/b/SECRET_B":                       "",
		"c/a/SECRET_A c/a/SECRET_B c/b/SECRET_B":          "",
		"c/a/SECRET_A d/a/SECRET_A":                       "",
		"c/a/SECRET_A c/a/DB c/b/SECRET_A c/b/DB":         "FERNET_NAMESPACE=a,b FERNET_MATCH=SECRET_A,DB",
		"c/a/DATABASE_URL d/b/MY_SECRET c/a/DATABASE_URL": "FERNET_MATCH=DATABASE_URL,MY_SECRET",
	} {
		var all []Value
		for _, text := range strings.Fields(values) {
			parts := strings.Split(text, "/")
			v := Value{Entry: envfile.Entry{Name: parts[2]}}
			v.Cluster, v.Token.Namespace = parts[0], parts[1]
			all = append(all, v)
		}
		var got []string
		for _, e := range settingsOf(all) {
			got = append(got, e.Name+"="+e.Value.Reveal())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", values, got, want)
		}
	}
}

// What a setting holds is a name; the parser of the .env, which knows no settings, has them in a list.
func TestSettingsHoldNames(t *testing.T) {
	want := slices.Sorted(slices.Values(append(SortedKeys(setters), VarCluster)))
	if got := slices.Sorted(slices.Values(envfile.Names)); !slices.Equal(got, want) {
		t.Errorf("envfile.Names are %q, the settings %q", got, want)
	}
}
