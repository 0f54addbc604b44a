package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spillway-dev/spillway/examples/demo"
)

// stage is the directory of one load, with everything that the programs need.
type stage struct {
	dir, programs, data, token string
	lambda, scf                demo.Cloud
}

// server replaces the demo's own: one token for all teams.
const server = `apiVersion: spillway.dev/v1alpha1
kind: Server
metadata: {name: server}
spec:
  dataDir: ../data
  auth: {tokens: [{tokenFrom: {file: ../secrets/token}, identity: recorder, invoke: ["*"]}]}
`

const nowhere = "http://127.0.0.1:1" // until the stand-in has an address

// newStage makes the directory. Functions run as users of their own: they may pass
// through it.
func newStage(programs string) (*stage, error) {
	dir, err := os.MkdirTemp("", "spillway-record-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	s := &stage{dir: dir, programs: programs, data: filepath.Join(dir, "data"), token: rand.Text() + rand.Text(),
		lambda: demo.Cloud{Endpoint: nowhere}, scf: demo.Cloud{Endpoint: nowhere}}
	lambda, scf := rand.Text()+rand.Text(), rand.Text()+rand.Text()
	err = errors.Join(os.Chmod(dir, 0o711), os.Mkdir(s.path("secrets"), 0o700), os.Mkdir(s.path("conf"), 0o711),
		s.write("secrets/token", s.token+"\n"), s.write("secrets/lambda-key", lambda+"\n"), s.write("secrets/scf-key", scf+"\n"),
		s.write("secrets/lambda", "[default]\naws_access_key_id = DEMOCLOUD00000000001\naws_secret_access_key = "+lambda+"\n"),
		s.write("secrets/scf", "[default]\nsecret_id = DEMOSCF0000000000001\nsecret_key = "+scf+"\n"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", dir, err), os.RemoveAll(dir))
	}
	return s, nil
}

// configure writes the demo's files with the addresses that are known by now.
func (s *stage) configure() error {
	files, err := demo.Files(demo.Settings{Functions: filepath.Join(s.programs, "functions"), SCF: filepath.Join(s.programs, "scf"), Lambda: s.lambda, Tencent: s.scf})
	if err != nil {
		return err
	}
	files["conf/server.yaml"] = server
	for name, text := range files {
		if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) write(name, text string) error {
	return os.WriteFile(s.path(name), []byte(text), 0o600)
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// writeConfig writes what a simulation needs of the configuration: no server, no
// secrets, and no addresses.
func writeConfig(dir string) error {
	files, err := demo.Files(demo.Settings{Functions: "functions", SCF: "functions", Lambda: demo.Cloud{Endpoint: nowhere}, Tencent: demo.Cloud{Endpoint: nowhere}})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	secrets := strings.NewReplacer("{file: ../secrets/lambda}", "{environment: true}", "{file: ../secrets/scf}", "{environment: true}")
	for name, text := range files {
		inner, found := strings.CutPrefix(name, "conf/")
		if !found || inner == "server.yaml" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, inner), []byte(secrets.Replace(text)), 0o644); err != nil {
			return err
		}
	}
	return nil
}
