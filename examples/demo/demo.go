// Package demo is the configuration of `make demo`: the YAML files of this folder,
// which can also be run by hand (README.md).
package demo

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed lambda.yaml scf.yaml conf/*.yaml
var files embed.FS

// Settings are what one run changes in the files.
type Settings struct {
	Functions string // absolute directory of the Lambda packages, one folder each
	SCF       string // the same of SCF packages
	OnPremLog string // absolute path: what functions record on-prem; empty: nothing
	Lambda    Cloud
	Tencent   Cloud
	Live      Live
}

// Cloud is one stand-in of a run.
type Cloud struct {
	Endpoint string // URL
	Log      string // absolute path: what functions record there
	Bill     string // absolute path: the stand-in's own list of executions
}

// Live are the rules that change in the course of a run.
type Live struct {
	Canary     int // percent of the calls of shop/thumbnail that its v2 takes
	KillSwitch bool
	Shadow     bool
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
	log, bill := s.OnPremLog, ""
	switch path {
	case "lambda.yaml":
		log, bill = s.Lambda.Log, s.Lambda.Bill
	case "scf.yaml":
		log, bill = s.Tencent.Log, s.Tencent.Bill
	}
	return strings.NewReplacer(
		"../../../bin/functions", s.Functions,
		"../../bin/functions", s.Functions,
		"../../bin/scf", s.SCF,
		"http://127.0.0.1:9001", s.Lambda.Endpoint,
		"http://127.0.0.1:9011", s.Tencent.Endpoint,
		`EXECUTION_LOG: ""`, "EXECUTION_LOG: '"+quoted(log)+"'",
		`executionLog: ""`, "executionLog: '"+quoted(bill)+"'",
		"{revision: v1, weight: 100}", fmt.Sprintf("{revision: v1, weight: %d}", 100-s.Live.Canary),
		"{revision: v2, weight: 0}", fmt.Sprintf("{revision: v2, weight: %d}", s.Live.Canary),
		"killSwitch: false", fmt.Sprintf("killSwitch: %t", s.Live.KillSwitch),
		"shadow: false", fmt.Sprintf("shadow: %t", s.Live.Shadow),
	)
}

// quoted is the inside of a single-quoted YAML scalar.
func quoted(s string) string { return strings.ReplaceAll(s, "'", "''") }
