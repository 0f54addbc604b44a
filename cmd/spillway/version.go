package main

import (
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says what this program was made from.
type build struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
	Revision string `json:"revision"`
	Time     string `json:"time,omitempty"` // of the revision
	Modified bool   `json:"modified"`
}

func newVersion(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which build this is",
		Long: `Print the version, the Go version and the source revision of this program.

Use it in bug reports, and to check what a machine runs.`,
		Example: `  spillway version
  spillway version -o json`,
		Args: cobra.NoArgs,
	}
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(*cobra.Command, []string) error {
		b := thisBuild()
		return output.print(s.out, b, func(w io.Writer) error {
			modified := ""
			if b.Modified {
				modified = " (modified)"
			}
			return table(w, [][]string{
				{"spillway", b.Version}, {"go", b.Go}, {"platform", b.Platform}, {"revision", b.Revision + modified},
			})
		})
	}
	return cmd
}

func thisBuild() build {
	b := build{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, Revision: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
