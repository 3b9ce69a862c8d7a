// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package atomicfile

import "io/fs"

func syncDir(string) error { return nil } // a directory cannot be opened for it

func chownLike(File, fs.FileInfo) error { return nil } // it inherits the directory's rights
