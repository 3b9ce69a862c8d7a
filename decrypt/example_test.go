// SPDX-License-Identifier: Apache-2.0

package decrypt_test

import (
	"errors"
	"fmt"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

// Keys and tokens of the examples. Never use a key that you have seen in
// documentation.
const (
	exampleKey          = "K4n6HWrbSsXoC-5BmGh-4OGZBbc2udcu4csv47XWgZY="
	exampleOld          = "hNqqDnSw-5mON-rhGPdlVtnQf_TCNSizhm0EnAzbQGs="
	exampleSealed       = "gAAAAABmWmSA1XnxZdbjZprNDgdcwuR-3--AJ3Cd3QowljiyPOPqylxIhkgdx3a-FmhCmcqdqg8sTs1k426EKzpASPumQkT0Vw=="
	exampleSealedBefore = "gAAAAABmMYYAwThnW9N8fkkxgmSr82N5Qv0xsOQjf2XjKfpQPb3bha5q0JeWzJUoUNoZOMbuKQtaDuAadvPyQspIX1iHOu20Jg=="
)

func ExampleParseKeys() {
	ring, err := decrypt.ParseKeys(exampleKey, exampleOld)
	fmt.Println(ring, err)

	_, err = decrypt.ParseKeys("changeme")
	fmt.Println(err)
	// Output:
	// [redacted kec18787d k4a019bed] <nil>
	// primary key: it is too short: a Fernet key has 44 characters, for 32 bytes
}

func ExampleKeyring_Open() {
	ring, err := decrypt.ParseKeys(exampleKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	password, err := ring.Open([]byte(exampleSealed))
	fmt.Println(string(password), err)

	_, err = ring.Open([]byte(exampleSealed + "\n"))
	var malformed *decrypt.MalformedError
	fmt.Println(errors.As(err, &malformed), err)

	_, err = ring.Open([]byte(exampleSealedBefore))
	var noKey *decrypt.NoKeyError
	fmt.Println(errors.As(err, &noKey), err)
	// Output:
	// correct horse <nil>
	// true malformed token: a character that is not URL-safe base64, such as a blank or line break
	// true no key opens the token (tried: kec18787d); it is under another key, or was altered
}

// During a rotation some tokens are still under the previous key.
func ExampleKeyring_OpenResult() {
	ring, err := decrypt.ParseKeys(exampleKey, exampleOld)
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := ring.OpenResult([]byte(exampleSealedBefore))
	if err != nil {
		fmt.Println(err)
		return
	}
	if result.Previous {
		fmt.Println("still needed: key", result.KeyID)
	}
	fmt.Println(string(result.Plaintext), "of", result.Time.Format("2006-01-02"))
	// Output:
	// still needed: key k4a019bed
	// battery staple of 2024-05-01
}
