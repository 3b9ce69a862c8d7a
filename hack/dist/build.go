// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

const (
	cliPackage     = "github.com/kubectl-fernet/kubectl-fernet/internal/cli"
	programPackage = "./cmd/kubectl-fernet"
)

// goBuild compiles the plugin so that neither the folder nor the machine shows
// in its bytes.
func goBuild(ctx context.Context, env []string, root string, r release, p platform) ([]byte, error) {
	temp, err := os.MkdirTemp("", "kubectl-fernet-dist-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	program := filepath.Join(temp, p.binary())
	stamp := "-s -w -X " + cliPackage + ".version=" + r.version + " -X " + cliPackage + ".commit=" + r.commit
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-ldflags", stamp, "-o", program, programPackage)
	cmd.Dir, cmd.Env = root, buildEnv(env, p)
	if _, err := output(cmd); err != nil {
		return nil, err
	}
	return os.ReadFile(program)
}

// buildEnv is the environment in which go builds for p, whatever the user's is.
// GOFLAGS is set and not emptied, because an empty one lets `go env -w` speak.
func buildEnv(env []string, p platform) []string {
	return append(slices.Clip(env),
		"GOOS="+p.os, "GOARCH="+p.arch, "GOAMD64=v1", "GOARM64=v8.0",
		"CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off", "GOEXPERIMENT=")
}
