// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// Set by -ldflags -X in release builds.
var (
	version = ""
	commit  = ""
)

type versionInfo struct {
	Version   string `json:"version"`
	Commit    string `json:"commit"`
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`
}

// buildVersion prefers what the release build stamped and falls back on what
// `go install module@version` recorded.
func buildVersion() versionInfo {
	info := versionInfo{version, commit, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{}
	}
	if info.Version == "" {
		info.Version = build.Main.Version
	}
	for _, s := range build.Settings {
		if s.Key == "vcs.revision" && info.Commit == "" {
			info.Commit = s.Value
		}
	}
	return info
}

func newVersion(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this plugin",
		Long:  "Print the version of this plugin.",
		Example: `  # the version alone
  kubectl fernet version

  # with the commit, the Go version and the platform, for a bug report
  kubectl fernet version -o json`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			err := checkFormat(output, "json", "yaml")
			if err != nil {
				return err
			}
			info := buildVersion()
			text := []byte(fmt.Sprintf("kubectl-fernet %s\n", info.Version))
			switch output {
			case "json":
				text, err = json.MarshalIndent(info, "", "  ")
				text = append(text, '\n')
			case "yaml":
				text, err = yaml.Marshal(info)
			}
			if err != nil {
				return err
			}
			_, err = a.Out.Write(text)
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json or yaml: version, commit, goVersion, platform")
	return cmd
}
