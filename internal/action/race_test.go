// SPDX-License-Identifier: Apache-2.0

//go:build race

package action

func init() { walkDefault = 4_000 } // the race detector makes a step ten times slower
