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
	// FERNET_KEY_PREVIOUS: previous key 1: it is less than the 32 bytes of a Fernet key
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
	// API_TOKEN: malformed token: not of Fernet version 0x80
}

// The environment of another process: what is no token stays as it is.
func ExampleKeyring_Environ() {
	ring, err := decrypt.ParseKeys(exampleKey, exampleOld)
	if err != nil {
		fmt.Println(err)
		return
	}
	environ := []string{"HOME=/", "SECRET_A=" + exampleSealed, "SECRET_B=" + exampleSealedBefore, "SECRET_C=not sealed"}
	plain, opened, err := ring.Environ(environ)
	fmt.Printf("%q %v\n", plain, err)
	fmt.Println(opened)
	fmt.Println("still under a previous key:", opened.Previous())
	// Output:
	// ["HOME=/" "SECRET_A=correct horse" "SECRET_B=battery staple" "SECRET_C=not sealed"] <nil>
	// map[SECRET_A:[redacted 13 bytes under kec18787d] SECRET_B:[redacted 14 bytes under k4a019bed]]
	// still under a previous key: [SECRET_B]
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
