// SPDX-License-Identifier: Apache-2.0

package decrypt_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing/fstest"
	"time"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

// exampleFolder makes a folder of files, as if they were mounted.
func exampleFolder(files map[string]string) (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			panic(err)
		}
	}
	return dir, func() { _ = os.RemoveAll(dir) }
}

func ExampleKeysFromEnviron() {
	// In a program: decrypt.KeysFromEnviron(os.Environ())
	ring, err := decrypt.KeysFromEnviron([]string{"FERNET_KEY=" + exampleKey, "FERNET_KEY_PREVIOUS=" + exampleOld})
	fmt.Println(ring, err)

	_, err = decrypt.KeysFromEnviron([]string{"FERNET_KEY=" + exampleKey, "FERNET_KEY_PREVIOUS=changeme"})
	fmt.Println(err)
	// Output:
	// [redacted kec18787d k4a019bed] <nil>
	// FERNET_KEY_PREVIOUS: previous key 1: it is too short: a Fernet key has 44 characters, for 32 bytes
}

// The Secret with the keys is mounted as a folder.
func ExampleKeysFromDir() {
	dir, remove := exampleFolder(map[string]string{"FERNET_KEY": exampleKey, "FERNET_KEY_PREVIOUS": exampleOld})
	defer remove()

	ring, err := decrypt.KeysFromDir(dir)
	fmt.Println(ring, err)
	// Output:
	// [redacted kec18787d k4a019bed] <nil>
}

func ExampleKeysFromFile() {
	dir, remove := exampleFolder(map[string]string{"keys": exampleKey + "\n" + exampleOld + "\n"})
	defer remove()

	ring, err := decrypt.KeysFromFile(filepath.Join(dir, "keys"))
	fmt.Println(ring, err)
	// Output:
	// [redacted kec18787d k4a019bed] <nil>
}

// The start of an application whose secrets are mounted, in the middle of a
// rotation.
func ExampleKeyring_Dir() {
	dir, remove := exampleFolder(map[string]string{"SECRET-DB-PASSWORD": exampleSealed, "SECRET-API-TOKEN": exampleSealedBefore})
	defer remove()

	ring, err := decrypt.ParseKeys(exampleKey, exampleOld)
	if err != nil {
		fmt.Println(err)
		return
	}
	secrets, err := ring.Dir(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	if old := secrets.Previous(); len(old) > 0 {
		fmt.Println("still under a previous key:", old)
	}
	fmt.Println(string(secrets["SECRET-DB-PASSWORD"].Plaintext))
	// Output:
	// still under a previous key: [SECRET-API-TOKEN]
	// correct horse
}

// A bundle, mounted as a folder: a file for each entry, named like it.
func ExampleKeyring_Dir_bundle() {
	dir, remove := exampleFolder(map[string]string{"DATABASE_URL": exampleSealed, "SMTP_PASSWORD": exampleSealedBefore})
	defer remove()

	ring, err := decrypt.ParseKeys(exampleKey, exampleOld)
	if err != nil {
		fmt.Println(err)
		return
	}
	secrets, err := ring.Dir(dir)
	fmt.Println(len(secrets), string(secrets["SMTP_PASSWORD"].Plaintext), err)
	// Output:
	// 2 battery staple <nil>
}

// A bundle, taken into the environment with envFrom: a variable for each entry, and that of
// the keyring beside them. What has to be sealed is named.
func ExampleKeyring_Environ_bundle() {
	environ := []string{"PATH=/bin", "FERNET_KEY=" + exampleKey, "FERNET_KEY_PREVIOUS=" + exampleOld, "DATABASE_URL=" + exampleSealed, "SMTP_PASSWORD=" + exampleSealedBefore}
	ring, err := decrypt.KeysFromEnviron(environ)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, secrets, err := ring.Environ(environ, decrypt.Require("DATABASE_URL", "SMTP_PASSWORD"))
	fmt.Println(len(secrets), string(secrets["DATABASE_URL"].Plaintext), err)
	// Output:
	// 2 correct horse <nil>
}

func ExampleKeyring_FS() {
	ring, err := decrypt.ParseKeys(exampleKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	secrets, err := ring.FS(fstest.MapFS{"SECRET-DB-PASSWORD": {Data: []byte(exampleSealed + "\n")}})
	fmt.Println(string(secrets["SECRET-DB-PASSWORD"].Plaintext), err)

	// With globs, other files; one of them is no token.
	_, err = ring.FS(fstest.MapFS{"API_TOKEN": {Data: []byte("changeme")}}, "API_*", "DB_*")
	fmt.Println(err)
	// Output:
	// correct horse <nil>
	// API_TOKEN: not sealed, and it has to be: push it with kubectl fernet, or choose globs that do not match it
}

// The environment of another process: what is no token stays as it is, but for
// what is required to be one.
func ExampleKeyring_Environ() {
	ring, err := decrypt.ParseKeys(exampleKey, exampleOld)
	if err != nil {
		fmt.Println(err)
		return
	}
	environ := []string{"HOME=/", "SECRET_A=" + exampleSealed, "DATABASE_URL=" + exampleSealedBefore + "\n", "LOG_LEVEL=debug"}
	plain, opened, err := ring.Environ(environ, decrypt.Require("SECRET_*", "DATABASE_URL"))
	fmt.Printf("%q %v\n", plain, err)
	fmt.Println(opened)
	fmt.Println("still under a previous key:", opened.Previous())
	// Output:
	// ["HOME=/" "SECRET_A=correct horse" "DATABASE_URL=battery staple" "LOG_LEVEL=debug"] <nil>
	// map[DATABASE_URL:[redacted 14 bytes under k4a019bed] SECRET_A:[redacted 13 bytes under kec18787d]]
	// still under a previous key: [DATABASE_URL]
}

// All that is wrong is named at once: nobody starts a program that has a token
// for a password.
func ExampleEntryErrors() {
	ring, err := decrypt.ParseKeys(exampleKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	twice := base64.StdEncoding.EncodeToString([]byte(exampleSealed))
	_, _, err = ring.Environ([]string{"SECRET_A=" + twice, "SECRET_B='" + exampleSealed + "'", "SECRET_C=changeme"}, decrypt.Require("SECRET_*"))
	fmt.Println(err)
	// Output:
	// SECRET_A: malformed token: encoded in base64 twice; store the token itself (kubectl create secret encodes by itself)
	// SECRET_B: malformed token: blanks, line breaks or quotes around it; store the token alone
	// SECRET_C: not sealed, and it has to be: push it with kubectl fernet, or choose globs that do not match it
}

// A program that gets its files as variables, and has Fernet tokens of its own.
func ExampleAddDir() {
	dir, remove := exampleFolder(map[string]string{"SECRET-API-TOKEN": exampleSealed, "README": "not a token"})
	defer remove()

	ring, err := decrypt.ParseKeys(exampleKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	environ := []string{"SESSION_SEED=" + exampleSealedBefore}
	plain, opened, err := ring.Environ(environ, decrypt.AddDir(dir, "SECRET*"), decrypt.Skip("SESSION_*"))
	fmt.Println(plain[1], len(opened), err)
	// Output:
	// SECRET-API-TOKEN=correct horse 1 <nil>
}

// An error says which entry it is about, and what is wrong.
func ExampleEntryError() {
	ring, err := decrypt.ParseKeys(exampleKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _, err = ring.Environ([]string{"SECRET_A=" + exampleSealed, "SECRET_B=" + exampleSealedBefore})
	var entry *decrypt.EntryError
	var noKey *decrypt.NoKeyError
	if errors.As(err, &entry) && errors.As(err, &noKey) {
		fmt.Println(entry.Name, "needs another key than", noKey.KeyIDs)
	}
	// Output:
	// SECRET_B needs another key than [kec18787d]
}

// A token that is a message, and may be an hour old.
func ExampleKeyring_OpenWithMaxAge() {
	ring, err := decrypt.ParseKeys(exampleKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2024, 6, 1, 0, 30, 0, 0, time.UTC) // in a program: time.Now()
	result, err := ring.OpenWithMaxAge([]byte(exampleSealed), time.Hour, now)
	fmt.Println(string(result.Plaintext), err)

	_, err = ring.OpenWithMaxAge([]byte(exampleSealed), time.Minute, now)
	fmt.Println(err)
	// Output:
	// correct horse <nil>
	// the token is too old: made 2024-06-01T00:00:00Z, more than 1m0s ago
}

// Somebody typed `base64` before `kubectl create secret`.
func ExampleKeyring_WithDoubleBase64() {
	ring, err := decrypt.ParseKeys(exampleKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	twice := base64.StdEncoding.EncodeToString([]byte(exampleSealed))
	_, err = ring.Open([]byte(twice))
	fmt.Println(err)

	plain, err := ring.WithDoubleBase64().Open([]byte(twice))
	fmt.Println(string(plain), err)
	// Output:
	// malformed token: not of Fernet version 0x80
	// correct horse <nil>
}
