// SPDX-License-Identifier: Apache-2.0

// Package interop has tests alone. They hold package decrypt and fernet-go to
// other implementations of Fernet, in both directions: what Python's cryptography
// and npm's fernet seal, decrypt opens; what fernet-go seals, they open. They
// also compute the vectors in testdata/vectors again, with the Python scripts
// beside them, and the example of docs/ledger.md with the Python printed there.
//
// An implementation is one process for all cases. A request is a line of JSON on
// its stdin, the reply a line on its stdout:
//
//	{"op": "seal", "keys": [KEY, …], "data": BASE64, "time": SECONDS}  {"token": TOKEN}
//	{"op": "open", "keys": [KEY, …], "token": TOKEN}                   {"data": BASE64}
//	{"op": "rotate", "keys": [KEY, …], "token": TOKEN}                 {"token": TOKEN}
//
// or {"error": NAME}, the name of the exception. A missing implementation fails
// the tests with the line to type; SKIP_INTEROP=1 skips them.
package interop
