// SPDX-License-Identifier: Apache-2.0

// Command hold is another program of Windows, for the scripts of testdata/windows: an editor that
// has a file open, or a credential plugin that takes its time.
//
// usage: hold [-open FILE] [-print FILE] GO
//
// It makes the file GO.waiting, waits until there is a file GO, prints FILE, and ends.
package main

import (
	"flag"
	"os"
	"time"
)

// patience is how long it waits, so that nothing is left of a script that failed.
const patience = 2 * time.Minute

func main() {
	open := flag.String("open", "", "a file to have open, as most programs have it: nobody may rename or remove it")
	product := flag.String("print", "", "a file to print at the end")
	flag.Parse()
	if *open != "" {
		f, err := os.Open(*open)
		if err != nil {
			panic(err)
		}
		defer func() { _ = f.Close() }()
	}
	if err := os.WriteFile(flag.Arg(0)+".waiting", nil, 0o600); err != nil {
		panic(err)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(flag.Arg(0)); err == nil {
			break
		}
	}
	if *product != "" {
		text, err := os.ReadFile(*product)
		if err != nil {
			panic(err)
		}
		_, _ = os.Stdout.Write(text)
	}
}
