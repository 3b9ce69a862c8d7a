// SPDX-License-Identifier: Apache-2.0

// Command dist builds a release of the plugin into a folder: one archive for
// each platform, with the licences of all that is linked into its program, a bill of
// materials of all of them in SPDX, checksums.txt, and fernet.yaml, krew's manifest with
// the true sums. In goes a git work tree; out come the same bytes wherever and whenever
// that commit is built with the same Go. It refuses a folder that is no git
// work tree, a commit with two release tags, and code that comes without a licence
// or under one that we do not ship; a tree with changes gets a development version.
// It writes nothing but its output folder.
//
// usage: go run ./hack/dist [-o FOLDER]
package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
)

func main() { os.Exit(run()) }

func run() int {
	out := flag.String("o", "dist", "folder for the archives, the bill of materials, the checksums and the manifest")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	d := dist{root: ".", out: *out, platforms: allPlatforms, compile: goBuild, licenses: goLicenses, modules: linkedModules, env: os.Environ(), log: os.Stderr}
	if err := d.run(ctx); err != nil {
		_, _ = os.Stderr.WriteString("error: " + err.Error() + "\n")
		return 1
	}
	return 0
}
