package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spillway-dev/spillway/examples/demo"
)

const region = "us-east-1" // that callers sign for

// accessKey is a SigV4 key of one run. Its secret is only in files of the run.
type accessKey struct{ ID, Secret string }

// site is the part of a stage that one stand-in of a cloud has.
type site struct {
	pool string // that stands for it
	file string // its configuration
	demo.Cloud
}

// stage is the directory of one run, with everything that the programs need.
type stage struct {
	dir       string
	programs  string               // directory of spillway and of functions
	keys      map[string]accessKey // by namespace
	token     string               // of the browser
	onPremLog string
	data      string
	sites     []*site

	written map[string]string // what the files of the configuration say now
}

// keyIDs are the keys that conf/server.yaml knows, by namespace.
var keyIDs = map[string]string{
	"shop": "DEMOSHOP000000000001", "media": "DEMOMEDIA00000000001", "finance": "DEMOFINANCE000000001",
}

const (
	lambdaKeyID = "DEMOCLOUD00000000001"
	scfKeyID    = "DEMOSCF0000000000001"
)

// packages are the functions that each of the folders must have.
var packages = map[string][]string{
	"functions": {"echo", "flaky", "payroll", "report", "thumbnail", "web"},
	"scf":       {"echo", "report", "thumbnail"},
}

// newStage makes the directory. Functions run as users of their own: they may pass
// through it and write to the execution logs, and read nothing else.
func newStage(programs string) (*stage, error) {
	dir, err := os.MkdirTemp("", "spillway-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the demo: %w", err)
	}
	s := &stage{dir: dir, programs: programs, keys: map[string]accessKey{}, written: map[string]string{},
		onPremLog: filepath.Join(dir, "executions", "onprem.jsonl"), data: filepath.Join(dir, "data")}
	for _, pool := range []string{"lambda", "scf"} {
		s.sites = append(s.sites, &site{pool: pool, file: pool + ".yaml", Cloud: demo.Cloud{
			Endpoint: "http://127.0.0.1:1", // nobody's, until the stand-in has one
			Log:      s.path("executions/" + pool + ".jsonl"), Bill: s.path("executions/" + pool + "-bill.jsonl")}})
	}
	if err := errors.Join(s.checkPrograms(), s.makeFolders(), s.writeSecrets()); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// checkPrograms says what is missing before anything starts.
func (s *stage) checkPrograms() error {
	names := []string{"spillway"}
	for folder, functions := range packages {
		for _, f := range functions {
			names = append(names, filepath.Join(folder, f, "bootstrap"))
		}
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(s.programs, name)); err != nil {
			return fmt.Errorf("%s is not beside this program: build both with 'make build functions', or run 'make demo'", filepath.Join(s.programs, name))
		}
	}
	return nil
}

func (s *stage) makeFolders() error {
	for dir, mode := range map[string]fs.FileMode{s.dir: 0o711, s.path("executions"): 0o711, s.path("conf"): 0o711, s.path("secrets"): 0o700} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return fmt.Errorf("prepare the demo: %w", err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			return fmt.Errorf("prepare the demo: %w", err)
		}
	}
	logs := []string{s.onPremLog}
	for _, at := range s.sites {
		logs = append(logs, at.Log)
	}
	for _, log := range logs {
		if err := errors.Join(os.WriteFile(log, nil, 0o666), os.Chmod(log, 0o666)); err != nil {
			return fmt.Errorf("prepare the demo: %w", err)
		}
	}
	return nil
}

func (s *stage) writeSecrets() error {
	for namespace, id := range keyIDs {
		s.keys[namespace] = accessKey{id, rand.Text() + rand.Text()}
		if err := s.write("secrets/"+namespace, s.keys[namespace].Secret+"\n", 0o600); err != nil {
			return err
		}
	}
	s.token = rand.Text() + rand.Text()
	lambda, scf := rand.Text()+rand.Text(), rand.Text()+rand.Text()
	return errors.Join(
		s.write("secrets/browser", s.token+"\n", 0o600),
		s.write("secrets/lambda-key", lambda+"\n", 0o600), s.write("secrets/scf-key", scf+"\n", 0o600),
		s.write("secrets/lambda", "[default]\naws_access_key_id = "+lambdaKeyID+"\naws_secret_access_key = "+lambda+"\n", 0o600),
		s.write("secrets/scf", "[default]\nsecret_id = "+scfKeyID+"\nsecret_key = "+scf+"\n", 0o600))
}

// configure makes the configuration say what the stage knows of its stand-ins, and
// live. It writes the files that say something else now, and reports whether there
// were any.
func (s *stage) configure(live demo.Live) (changed bool, err error) {
	files, err := demo.Files(demo.Settings{
		Functions: filepath.Join(s.programs, "functions"), SCF: filepath.Join(s.programs, "scf"),
		OnPremLog: s.onPremLog, Lambda: s.sites[0].Cloud, Tencent: s.sites[1].Cloud, Live: live,
	})
	if err != nil {
		return false, fmt.Errorf("read the demo's configuration: %w", err)
	}
	for name, text := range files {
		if s.written[name] == text {
			continue
		}
		if err := s.put(name, text); err != nil {
			return false, err
		}
		changed = true
	}
	return changed, nil
}

// put writes a file of the configuration, which may be read at any time, in one step.
func (s *stage) put(name, text string) error {
	if err := s.write("new", text, 0o644); err != nil {
		return err
	}
	if err := os.Rename(s.path("new"), s.path(name)); err != nil {
		return fmt.Errorf("write the demo's configuration: %w", err)
	}
	s.written[name] = text
	return nil
}

func (s *stage) write(name, text string, mode fs.FileMode) error {
	if err := os.WriteFile(s.path(name), []byte(text), mode); err != nil {
		return fmt.Errorf("prepare the demo: %w", err)
	}
	return nil
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

func (s *stage) program() string { return filepath.Join(s.programs, "spillway") }
