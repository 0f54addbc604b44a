package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/clouddrift"
	"github.com/spillway-dev/spillway/export/terraform"
)

func newCloudExport(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the cloud half of a configuration for another tool",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newExportTerraform(s))
	return cmd
}

func newExportTerraform(s streams) *cobra.Command {
	var f checkFlags
	var out string
	cmd := &cobra.Command{
		Use:   "terraform",
		Short: "Write the functions that are bound in clouds as Terraform's HCL",
		Long: `Write a Terraform module with what the configuration relies on in clouds: each
bound function with its memory, timeout and processor, its aliases, a reservation
of concurrency if you want one, the role that functions run as, and a policy with
the few permissions that Spillway's own credentials need.

Code is not in it: variables name the zip files, and of those that the
configuration has Terraform checks the digest. Secrets and environment variables
are not in it either. The same configuration always gives the same files. Without
--out everything is printed.

Use it to deploy for the first time, or as the text to compare yours with; then
'spillway cloud check' should find nothing.`,
		Example: `  spillway cloud export terraform --config examples/platform
  spillway cloud export terraform --config examples/platform --out deploy/clouds
  terraform -chdir=deploy/clouds init`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "`directory` of the configuration (required)")
	flags.StringVar(&f.pool, "pool", "", "write the pool with this `name` only")
	flags.StringVar(&out, "out", "", "`directory` for the files; made if it is not there")
	cmd.RunE = func(*cobra.Command, []string) error {
		loaded, err := loadForClouds(f)
		if err != nil {
			return err
		}
		files, err := terraform.Render(clouddrift.Wants(loaded.Platform, f.pool, func(p *spillway.Pool) string { return architecture(loaded, p) }))
		if err != nil {
			return inputError{err}
		}
		if out == "" {
			return printFiles(s, files)
		}
		return writeFiles(s, out, files)
	}
	return cmd
}

// printFiles writes all files one after the other, each under its name.
func printFiles(s streams, files []terraform.File) error {
	for i, f := range files {
		if i > 0 {
			fmt.Fprintln(s.out)
		}
		if _, err := fmt.Fprintf(s.out, "# %s\n%s", f.Name, f.Text); err != nil {
			return err
		}
	}
	return nil
}

// written begins every file that an export has written.
const written = "# Written by 'spillway cloud export terraform'."

// writeFiles replaces files of an earlier export, and no others: it writes all of
// them or says why none.
func writeFiles(s streams, dir string, files []terraform.File) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--out: %w; name another directory", err)
	}
	stale, err := ownFiles(dir, files)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := replaceFile(filepath.Join(dir, f.Name), []byte(f.Text)); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		fmt.Fprintln(s.out, filepath.Join(dir, f.Name))
	}
	for _, name := range stale {
		fmt.Fprintf(s.err, "warning: %s is of an earlier export and not part of this one: remove it\n", filepath.Join(dir, name))
	}
	return nil
}

// ownFiles refuses a directory in which a file of somebody else's would be
// replaced, and returns the names of exported files that would be left over.
func ownFiles(dir string, files []terraform.File) (stale []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".tf" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("--out: %w", err)
		}
		own := strings.HasPrefix(string(text), written)
		switch replaced := slices.ContainsFunc(files, func(f terraform.File) bool { return f.Name == e.Name() }); {
		case replaced && !own:
			return nil, wrongInput("--out: %s is there and was not written by an export; move it away or name another directory", filepath.Join(dir, e.Name()))
		case own && !replaced:
			stale = append(stale, e.Name())
		}
	}
	return stale, nil
}
