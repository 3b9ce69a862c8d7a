// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import (
	"errors"
	"os/exec"
)

func spawn(*exec.Cmd) error { return errors.ErrUnsupported }

func inBackground(cmd *exec.Cmd) *exec.Cmd { return cmd }
