// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
)

const otherKey = "q7WcVxnCzJYzW0e9hQ5p3mT1uR8aK2dL6sF4gB0iEoM="

// argvForms are command lines that hold a key or token, KEY, somewhere.
var argvForms = []string{
	"KEY", "KEY,KEY", "push KEY", "push KEY,OTHER", "push OTHER,KEY", "push  KEY ", "push --env KEY", "push --env=KEY", "push --env ./KEY", "push --env=a/KEY/.env",
	"push -n KEY", "push -nKEY", "push -n=KEY", "push --namespace KEY", "push --namespaces a,KEY", "push --namespaces=KEY,b", "push --context KEY", "push --context=prod-KEY",
	"push --contexts a,KEY", "push --cluster KEY", "push --user KEY", "push -s https://KEY.example", "push --server=https://user:KEY@example", "push --kubeconfig KEY",
	"push --ledger KEY", "push --key-file KEY", "push --key-file=KEY", "push --match KEY", "push --match *KEY*", "push --parallel KEY", "push --dry-run=KEY", "push -o KEY", "push --KEY",
	"push -KEY", "push --unknown=KEY", "push --env-KEY=x", "push -vKEY", "push KEY=KEY", "push FERNET_KEY=KEY", "push --as KEY", "push --request-timeout KEY", "reveal KEY", "reveal SECRET_KEY",
	"retire KEY", "adopt KEY", "rollout --apps-have-key KEY", "wire KEY", "wire deployment/web --exec -- app KEY", "wire --exec-image KEY", "wire -c KEY", "wire --mount-path /KEY", "wire --local -f KEY", "wire --keyring KEY", "rotate --key-secret KEY", "restore --from-cluster KEY", "restore --to-namespace=KEY", "pull --out KEY", "rbac --for KEY", "policy --name KEY", "policy --action KEY", "policy -l KEY", "policy -l a=KEY",
	"completion KEY", "version -o KEY", "help KEY", "lint --env KEY", "init --env KEY", "keygen KEY", "exec-env -- KEY", "exec-env KEY", "push -- KEY", "diff --against=KEY", "status --max-age KEY",
	"__complete push --env KEY",
}

// Whatever form a key or token has on the command line, with its `=` or without: it is
// refused, and repeated nowhere.
func TestNoArgumentWithASecretIsRepeated(t *testing.T) {
	emptyFolder(t)
	for _, secret := range []string{testKey, strings.TrimSuffix(testKey, "="), testToken, strings.TrimRight(testToken, "="), url.QueryEscape(testKey), `"` + testKey + `"`, strings.ReplaceAll(testKey, "=", "%3D")} {
		for _, form := range argvForms {
			var args []string
			for _, word := range strings.Split(form, " ") {
				word = strings.ReplaceAll(word, "FERNET_KEY=", "FERNET_\x00=") // a name, not the key
				word = strings.ReplaceAll(strings.ReplaceAll(word, "OTHER", otherKey), "KEY", secret)
				args = append(args, strings.ReplaceAll(word, "\x00", "KEY"))
			}
			if form == "push  KEY " {
				args = []string{"push", " " + secret + " "}
			}
			code, stdout, stderr := run(t, args...)
			said := stdout + stderr
			if code != 2 || !strings.Contains(stderr, "is a Fernet ") {
				t.Errorf("%s: exit code %d, %s", form, code, said)
			}
			for i := 0; i+6 <= len(secret); i++ {
				if strings.Contains(said, secret[i:i+6]) {
					t.Errorf("%s: repeated: %s", form, said)
					break
				}
			}
		}
	}
}

// What is mistyped and holds no key is repeated, so that the user sees the mistake; a
// long path is no key.
func TestMistypedWordsAreRepeated(t *testing.T) {
	emptyFolder(t)
	for args, want := range map[string]string{
		"psuh":               `error: unknown command "psuh"`,
		"push --nmaespace x": "error: unknown flag --nmaespace",
		"push -f x":          "error: unknown flag -f",
		"push -xyz":          "error: unknown flag -x",
		"push --env /home/somebody/projects/the-very-long-name-of-a-project-2024/Application-Of-The-Company/.env": "error: /home/somebody/projects/the-very-long-name-of-a-project-2024/Application-Of-The-Company/.env: no such file",
	} {
		if code, _, stderr := run(t, strings.Fields(args)...); code != 2 || !strings.HasPrefix(stderr, want+"\n") {
			t.Errorf("%s: exit code %d, %s", args, code, stderr)
		}
	}
	// What could be a piece of base64 is not.
	piece := "YmxhaGJsYWgxMjM0NTY3ODkw"
	for _, args := range []string{piece, "push --" + piece} {
		if _, _, stderr := run(t, strings.Fields(args)...); strings.Contains(stderr, piece[:6]) || !strings.Contains(stderr, "unknown") {
			t.Errorf("%s: %s", args, stderr)
		}
	}
}

// A folder whose name looks like a key is a folder where it is there; a whole key is none, and
// neither is one behind it.
func TestFolderThatLooksLikeAKey(t *testing.T) {
	emptyFolder(t)
	name := strings.TrimSuffix(otherKey, "=")
	put(t, name+"/.env", "SECRET_A=x\n")
	put(t, name+"/"+otherKey+"/.env", "SECRET_A=x\n")
	for args, refused := range map[string]bool{
		"lint --env " + name + "/.env": false, "lint --env=./" + name + "/.env": false, "lint --env " + name + "/new.env": false,
		"lint --env " + name + "2/.env": true, "lint --env " + name + "/" + strings.TrimSuffix(testKey, "="): true, "lint --env=" + name + "/" + otherKey + "/.env": true, "push " + testKey: true,
	} {
		if _, _, stderr := run(t, strings.Fields(args)...); strings.Contains(stderr, "is a Fernet key") != refused {
			t.Errorf("%s: %s", args, stderr)
		}
	}
}

// The hint that repeats the whole command line leaves out what may not be repeated.
func TestCommandLineHidesSecrets(t *testing.T) {
	got := fmt.Sprint(commandLine([]string{"exec-env", "--token", "bearer", "--token=bearer", "-s", "https://user:word@host/", "--", "x", testKey, "$(x)"}))
	if want := `kubectl fernet exec-env --token "$TOKEN" --token="$TOKEN" -s 'https://…@host/' -- x … '$(x)'`; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
