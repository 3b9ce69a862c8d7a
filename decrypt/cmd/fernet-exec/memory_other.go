// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"errors"
	"os"
)

// inMemory cannot tell.
func inMemory(*os.File) error {
	return errors.New("on this system nobody can tell whether it is in memory; allow it with --any-filesystem")
}
