// SPDX-License-Identifier: Apache-2.0

// Command kubectl-fernet is the kubectl plugin `kubectl fernet`.
package main

import (
	"os"

	"github.com/kubectl-fernet/kubectl-fernet/internal/action"
	"github.com/kubectl-fernet/kubectl-fernet/internal/atomicfile"
	"github.com/kubectl-fernet/kubectl-fernet/internal/cli"
)

func main() { os.Exit(cli.Main(action.On(atomicfile.OS), os.Args[1:])) }
