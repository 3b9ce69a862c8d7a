// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package atomicfile

import "io/fs"

const noFollow, nonBlock = 0, 0

func syncDir(string) error { return nil } // a directory cannot be opened for it

func chownLike(File, fs.FileInfo) error { return nil } // it inherits the directory's rights

func keepOwner(string, fs.FileInfo) (bool, error) { return true, nil }

func ourUID() int { return 0 }

func ownerOf(fs.FileInfo) int { return 0 }

// Exposed says whether others than the owner have access, as far as a mode says
// so: not here.
func Exposed(fs.FileInfo) bool { return false }

// Borrowed says whether to write into a file could change another one, of which
// this is a second name that another user made: not known here.
func Borrowed(string, fs.FileInfo) bool { return false }
