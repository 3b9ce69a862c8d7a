// SPDX-License-Identifier: Apache-2.0

// Package adversary has tests alone: histories of two projects in shared namespaces
// are played at random, then somebody writes the ledger, or Secrets, who has no key,
// and each decision is held to what it would have been without, or to what was done.
// It is the pure half, thousands of histories without a control plane; the half with
// the real program stands beside the plugin's other tests.
package adversary
