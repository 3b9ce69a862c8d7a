// SPDX-License-Identifier: Apache-2.0

// Command open is the smallest application, with the key from its environment: it opens the
// token in a file, as it would find it in a mounted Secret, or with --environ the variables
// that are named, as envFrom gives them to a pod.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/kubectl-fernet/kubectl-fernet/decrypt"
)

func main() {
	keys, err := decrypt.KeysFromEnviron(os.Environ())
	if err != nil {
		log.Fatal(err)
	}
	if os.Args[1] == "--environ" {
		openVariables(keys, os.Args[2:])
		return
	}
	token, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	plain, err := keys.Open(token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(plain))
}

// openVariables prints the opened values of variables; each has to be sealed.
func openVariables(keys *decrypt.Keyring, names []string) {
	_, opened, err := keys.Environ(os.Environ(), decrypt.Require(names...))
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range names {
		fmt.Printf("%s=%s\n", name, opened[name].Plaintext)
	}
}
