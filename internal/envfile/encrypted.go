// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/kubectl-fernet/kubectl-fernet/internal/hint"
	"github.com/kubectl-fernet/kubectl-fernet/internal/token"
)

// encrypters are the programs whose output people keep as their .env. Each is known by how
// its files look, and has a command that leaves the encrypted file as it is.
var encrypters = []struct {
	name string
	made func(data []byte) bool
	way  func(path string) hint.Text
}{
	{"git-crypt", begins("\x00GITCRYPT\x00"), func(string) hint.Text { return "git-crypt unlock" }},
	{"git-lfs", begins("version https://git-lfs.github.com/"), func(string) hint.Text { return "git lfs pull" }},
	{"sops", regexp.MustCompile(`(?m)^sops_mac=ENC\[|^\{\s*"data": "ENC\[`).Match, into("sops -d --input-type dotenv --output-type dotenv")},
	{"dotenvx", regexp.MustCompile(`^#/-*\[DOTENV_PUBLIC_KEY[^\n]*\n(?s:.*)\n[^#\n]*=["']?encrypted:`).Match, into("dotenvx decrypt --stdout -f")},
	{"ansible-vault", begins("$ANSIBLE_VAULT;"), into("ansible-vault view")},
	{"age", begins("age-encryption.org/", "-----BEGIN AGE ENCRYPTED FILE-----"), into("age -d -i KEYFILE")},
	{"gpg", begins("-----BEGIN PGP MESSAGE-----"), into("gpg -d")},
}

// begins says of a file whether it begins with one of these bytes.
func begins(starts ...string) func([]byte) bool {
	return func(data []byte) bool {
		for _, start := range starts {
			if bytes.HasPrefix(data, []byte(start)) {
				return true
			}
		}
		return false
	}
}

// into gives the command that writes the plaintext beside the encrypted file.
func into(command hint.Text) func(string) hint.Text {
	return func(path string) hint.Text {
		plain := path + ".plain"
		return hint.Format("(umask 077; %s %s >%s), then --env %s", command, path, plain, plain)
	}
}

// checkEncrypted refuses a file that another program encrypted: nothing may be written into it.
func checkEncrypted(path string, data []byte) error {
	for _, e := range encrypters {
		if e.made(data) {
			return &Error{Path: path, Message: "is encrypted by " + e.name, Way: e.way(path)}
		}
	}
	return nil
}

// substitutes are values that stand for another one, which somebody has to put there.
var substitutes = []struct {
	is   *regexp.Regexp
	what string
}{
	{regexp.MustCompile(`^encrypted:[A-Za-z0-9+/]{20,}`), "ciphertext of dotenvx"},
	{regexp.MustCompile(`^ENC\[AES256_GCM,`), "ciphertext of sops"},
	{regexp.MustCompile(`^\$ANSIBLE_VAULT;`), "ciphertext of ansible-vault"},
	{regexp.MustCompile(`^op://[^/]+/`), "a reference of 1Password"},
	{regexp.MustCompile(`^\$\{\{.*\}\}$`), "an expression of a CI system"},
	{regexp.MustCompile(`^(\*{3,}|•{3,})$`), "a masked value"},
}

// Substitute says what a value is that is none itself, such as another program's ciphertext:
// an application would get it as it stands. Empty: it looks like a value.
func Substitute(v Value) string {
	text := strings.TrimSpace(v.Reveal())
	for _, s := range substitutes {
		if s.is.MatchString(text) {
			return s.what
		}
	}
	if _, err := token.Parse(text); err == nil {
		return "a Fernet token already"
	}
	return ""
}
