// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package envfile

const nonblock = 0
