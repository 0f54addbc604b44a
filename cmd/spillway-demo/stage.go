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

const region = "us-east-1"

// accessKey is a SigV4 key of one run. Its secret is only in files of the run.
type accessKey struct{ ID, Secret string }

// stage is the directory of one run, with everything that the programs need.
type stage struct {
	dir       string
	programs  string               // directory of spillway and of functions
	keys      map[string]accessKey // by namespace
	onPremLog string
	cloudLog  string
	data      string
}

// keyIDs are the keys that conf/server.yaml knows, by namespace.
var keyIDs = map[string]string{
	"shop": "DEMOSHOP000000000001", "media": "DEMOMEDIA00000000001", "finance": "DEMOFINANCE000000001",
}

const cloudKeyID = "DEMOCLOUD00000000001"

// newStage makes the directory. Functions run as users of their own: they may pass
// through it and write to the execution logs, and read nothing else.
func newStage(programs string) (*stage, error) {
	dir, err := os.MkdirTemp("", "spillway-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the demo: %w", err)
	}
	s := &stage{dir: dir, programs: programs, keys: map[string]accessKey{},
		onPremLog: filepath.Join(dir, "executions", "onprem.jsonl"),
		cloudLog:  filepath.Join(dir, "executions", "cloud.jsonl"), data: filepath.Join(dir, "data")}
	if err := errors.Join(s.checkPrograms(), s.makeFolders(), s.writeSecrets()); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// checkPrograms says what is missing before anything starts.
func (s *stage) checkPrograms() error {
	for _, name := range []string{"spillway", "functions/echo/bootstrap", "functions/flaky/bootstrap",
		"functions/payroll/bootstrap", "functions/report/bootstrap", "functions/thumbnail/bootstrap"} {
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
	for _, log := range []string{s.onPremLog, s.cloudLog} {
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
	secret := rand.Text() + rand.Text()
	profile := "[default]\naws_access_key_id = " + cloudKeyID + "\naws_secret_access_key = " + secret + "\n"
	return errors.Join(s.write("secrets/cloud", secret+"\n", 0o600), s.write("secrets/lambda", profile, 0o600))
}

// configure writes the configuration for a stand-in at endpoint; it is called
// first with none, since the stand-in has a file there too.
func (s *stage) configure(endpoint string) error {
	files, err := demo.Files(demo.Settings{
		Functions: filepath.Join(s.programs, "functions"), Endpoint: endpoint,
		OnPremLog: s.onPremLog, CloudLog: s.cloudLog, CloudBill: s.path("executions/bill.jsonl"),
	})
	if err != nil {
		return fmt.Errorf("read the demo's configuration: %w", err)
	}
	for name, text := range files {
		if err := s.write(name, text, 0o644); err != nil {
			return err
		}
	}
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
