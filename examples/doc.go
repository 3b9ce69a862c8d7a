// SPDX-License-Identifier: Apache-2.0

// Package examples has tests alone. Its folders have what reads the secrets of kubectl
// fernet in a pod, each with its manifest and a .env: an HTTP service in Go, Python and
// Node that opens tokens itself, fernet-exec around a program that cannot be changed, and
// PostgreSQL and nginx, which read files that fernet-exec wrote.
//
// The tests type what the header of each manifest says, beside a real API server, and run
// each program with the variables and folders that a kubelet would make of the manifest
// and of the Secrets that came of it. They also run each snippet of code that README.md
// and docs show, in the middle of a rotation.
//
// A missing tool fails the tests with the line to type; SKIP_INTEROP=1 skips
// those of other languages than Go.
package examples
