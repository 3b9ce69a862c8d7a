// SPDX-License-Identifier: Apache-2.0

// Command open is the smallest application: it opens the token in a file, as it
// would find it in a mounted Secret, with the key from its environment.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

func main() {
	token, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	keys, err := decrypt.KeysFromEnviron(os.Environ())
	if err != nil {
		log.Fatal(err)
	}
	plain, err := keys.Open(token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(plain))
}
