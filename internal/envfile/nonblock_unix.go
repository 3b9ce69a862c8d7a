// SPDX-License-Identifier: Apache-2.0

//go:build unix

package envfile

import "syscall"

const nonblock = syscall.O_NONBLOCK
