// SPDX-License-Identifier: Apache-2.0

// Package examples has tests alone. Its folders have programs that read the
// secrets of kubectl fernet in a pod, each with its manifest: one HTTP service in
// Go, Python and Node, and fernet-exec around a program that cannot be changed.
// The tests run each program against folders as the kubelet mounts them, and have
// a real API server look at each manifest. They also run each snippet of code that
// README.md and docs show, in the middle of a rotation.
//
// A missing tool fails the tests with the line to type; SKIP_INTEROP=1 skips
// those of other languages than Go.
package examples
