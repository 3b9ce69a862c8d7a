// SPDX-License-Identifier: Apache-2.0

package envfile

import (
	"errors"
	"strings"
	"testing"
)

// A file that another program encrypted is named as such, with a way out that leaves it alone.
func TestEncryptedFiles(t *testing.T) {
	dotenvx := "#/---[DOTENV_PUBLIC_KEY]---/\n#/ header /\nDOTENV_PUBLIC_KEY=\"03aa\"\n"
	for _, c := range []struct{ data, by, way string }{
		{"\x00GITCRYPT\x00\x01\x02\xff", "git-crypt", "git-crypt unlock"},
		{"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs", "git lfs pull"},
		{"SECRET_A=ENC[AES256_GCM,data:p6c=,type:str]\nsops_mac=ENC[AES256_GCM,data:x]\nsops_version=3.9.0\n", "sops", "sops -d --input-type dotenv --output-type dotenv 'a b' >'a b.plain'"},
		{"{\n\t\"data\": \"ENC[AES256_GCM,data:p6c=\"}", "sops", "sops -d"},
		{dotenvx + "SECRET_A=\"encrypted:BAjM9\"\n", "dotenvx", "dotenvx decrypt --stdout -f"},
		{dotenvx + "\nSECRET_A=encrypted:BAjM9\n", "dotenvx", "dotenvx decrypt --stdout -f"},
		{"$ANSIBLE_VAULT;1.1;AES256\n6162\n", "ansible-vault", "ansible-vault view"},
		{"age-encryption.org/v1\n-> X25519 x\n", "age", "age -d"},
		{"-----BEGIN AGE ENCRYPTED FILE-----\n", "age", "age -d"},
		{"-----BEGIN PGP MESSAGE-----\n", "gpg", "gpg -d"},
	} {
		_, err := Parse("a b", []byte(c.data))
		var e *Error
		if !errors.As(err, &e) || e.Message != "is encrypted by "+c.by || !strings.Contains(string(e.Way), c.way) {
			t.Errorf("%.20q: %v, hint %q", c.data, err, e.Hint())
		}
	}
	for _, data := range []string{dotenvx + "SECRET_A=plain\n", "# sops_mac=ENC[\nSECRET_A=x\n", "A=version https://git-lfs.github.com/\n", dotenvx + "# A=encrypted:x\nB=c\n"} {
		if _, err := Parse("x", []byte(data)); err != nil {
			t.Errorf("%.40q: %v", data, err)
		}
	}
}

// What stands for another value is named, and a value is not.
func TestSubstitute(t *testing.T) {
	token := "gAAAAABmAAAAAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-Pw=="
	for text, want := range map[string]string{
		"encrypted:BAjM9xQ0aBcDeFgHiJkLmNoPq": "ciphertext of dotenvx", "ENC[AES256_GCM,data:p6c=,type:str]": "ciphertext of sops",
		"$ANSIBLE_VAULT;1.1;AES256": "ciphertext of ansible-vault", "op://prod/db/password": "a reference of 1Password",
		"${{ secrets.DB }}": "an expression of a CI system", "***": "a masked value", "••••••••": "a masked value", " " + token + "\n": "a Fernet token already",
		"encrypted:no": "", "my ENC[": "", "op://": "", "${HOME}": "", "**": "", "a***": "", token[:40]: "", "": "",
	} {
		if got := Substitute(NewValue(text)); got != want {
			t.Errorf("%.20q: %q, want %q", text, got, want)
		}
	}
}

// Lint tells what Node's dotenv reads as a quote, and a value that it would read further.
func TestLintBackticks(t *testing.T) {
	f, err := Parse("x", []byte("A=`b`\nC=`d\nE=f`\nG='`h`'\nI=j`k\n"))
	if err != nil {
		t.Fatal(err)
	}
	told := map[int]string{}
	for _, finding := range Lint(f) {
		told[finding.Line] += finding.Cause
	}
	if !strings.Contains(told[1], "Node's dotenv takes backticks for quotes") || !strings.Contains(told[2], "ends with this line") || len(told) != 2 {
		t.Errorf("%v", told)
	}
}

// Lines that git writes, and a key that was appended to a file without a final line break,
// are named and not taken for a value.
func TestMergeConflictAndAppendedKey(t *testing.T) {
	key := strings.Repeat("A", 42) + "Q="
	for input, want := range map[string]string{
		"A=b\n<<<<<<< HEAD\n": "x:2: a merge conflict", "=======\n": "x:1: a merge conflict", "A=b\n>>>>>>> main\r\n": "x:2: a merge conflict", "||||||| 1234\n": "x:1: a merge conflict",
		"SECRET_A=xKEY=" + key: "x:1: SECRET_A: a line break is missing before the key", "A=xKEY_PREVIOUS=" + key + "\n": "x:1: A: a line break is missing", "A=FERNET_KEY=" + key + "\n": "x:1: A: a line break is missing",
	} {
		_, err := Parse("x", []byte(input))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), key) {
			t.Errorf("%q: %v", input, err)
		}
	}
	for _, input := range []string{"KEY=" + key + "\n", "A='KEY=" + key + "'\n", "A=<<<<<<< HEAD\n"} {
		if _, err := Parse("x", []byte(input)); err != nil {
			t.Errorf("%q: %v", input, err)
		}
	}
}
