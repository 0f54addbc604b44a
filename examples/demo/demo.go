// Package demo is the configuration of `make demo`: the YAML files of this folder,
// which can also be run by hand (README.md).
package demo

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed cloud.yaml conf/*.yaml
var files embed.FS

// Settings are what one run changes in the files.
type Settings struct {
	Functions string // absolute directory of the packages, one folder each
	Endpoint  string // URL of the stand-in cloud
	OnPremLog string // absolute path: what functions record on-prem; empty: nothing
	CloudLog  string // the same in the cloud
	CloudBill string // absolute path: the stand-in's own list of executions
}

// Files returns the files by their path, with s in place of what they say.
func Files(s Settings) (map[string]string, error) {
	out := map[string]string{}
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(path)
		out[path] = s.into(path).Replace(string(text))
		return err
	})
	return out, err
}

func (s Settings) into(path string) *strings.Replacer {
	log := s.OnPremLog
	if path == "cloud.yaml" {
		log = s.CloudLog
	}
	return strings.NewReplacer(
		"../../../bin/functions", s.Functions,
		"../../bin/functions", s.Functions,
		"http://127.0.0.1:9001", s.Endpoint,
		`EXECUTION_LOG: ""`, "EXECUTION_LOG: '"+quoted(log)+"'",
		`executionLog: ""`, "executionLog: '"+quoted(s.CloudBill)+"'",
	)
}

// quoted is the inside of a single-quoted YAML scalar.
func quoted(s string) string { return strings.ReplaceAll(s, "'", "''") }
