package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spillway-dev/spillway/simulator/cloud"
)

// start builds the packages, and runs both clouds and the server.
func (s *storm) start(ctx context.Context) error {
	report, scf := filepath.Join(s.b.dir, "report"), filepath.Join(s.b.dir, "scf")
	for _, args := range [][]string{
		{"build", "-tags", "lambda.norpc", "-o", filepath.Join(report, "bootstrap"), "./examples/functions/report"},
		{"build", "-o", filepath.Join(scf, "bootstrap"), "./cmd/spillway-agent"},
	} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	if err := os.Symlink(report, filepath.Join(scf, "lambda")); err != nil {
		return err
	}
	for provider, dir := range map[string]string{cloud.Lambda: report, cloud.SCF: scf} {
		if err := s.startCloud(ctx, provider, dir); err != nil {
			return err
		}
	}
	config, err := s.platform(report)
	if err != nil {
		return err
	}
	up, admin, _, err := s.b.up(ctx, config)
	if err != nil {
		return err
	}
	s.up, s.admin = up, "http://"+admin
	return s.settle(ctx) // also starts everything that the rounds need
}

func (s *storm) startCloud(ctx context.Context, provider, dir string) error {
	config := filepath.Join(s.b.dir, provider+"-cloud.yaml")
	text := fmt.Sprintf(`provider: %s
keys: [{id: %s, secret: %s}]
functions: [{name: work, dir: %s, command: [bootstrap], memory: 128, timeout: 2s}]
`, provider, benchKey, benchToken, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	admin, err := freeAddr()
	if err != nil {
		return err
	}
	p, err := s.b.spawn(ctx, provider+"-cloud", addr, s.b.bin, "cloud", "--config", config, "--listen", addr, "--admin", admin)
	if err != nil {
		return err
	}
	s.clouds = append(s.clouds, &standIn{provider, "http://" + admin, p})
	return nil
}

func (s *storm) stop() {
	if s.up != nil {
		s.up.stop()
	}
	for _, c := range s.clouds {
		c.process.stop()
	}
}

// platform writes the configuration: one function has places of its own, the other
// four, and overflows at once. Neither waits, so that times are of work and not of
// queues.
func (s *storm) platform(report string) (dir string, err error) {
	dir = filepath.Join(s.b.dir, "storm")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	text := fmt.Sprintf(`apiVersion: spillway.dev/v1alpha1
kind: Server
metadata: {name: server}
spec:
  dataDir: %[1]s
  auth: {anonymous: false, tokens: [{tokenFrom: {file: token}, identity: bench, invoke: ["*"]}]}
---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: onprem}
spec: {kind: process, capacity: {slots: 36, cpu: "1000", memory: 100Gi}}
---
apiVersion: spillway.dev/v1alpha1
kind: PriceBook
metadata: {name: prices}
spec:
  currency: USD
  exchangeRates: [{from: CNY, to: USD, rate: "0.14", date: 2026-01-01, source: treasury}]
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: calm}
spec: {namespaces: [calm], nominal: {onPrem: {slots: 32}}}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: busy}
spec:
  namespaces: [busy]
  nominal: {onPrem: {slots: 4}}
  budgets: [{window: month, amount: "1000"}]
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: eager}
spec: {mode: Hybrid, order: [onprem, lambda, scf], onPremWaitBudget: 0s}
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: stays, namespace: calm}
spec:
  revisions: [{name: v1, package: {path: %[2]s}}]
  resources: {cpu: 500m, memory: 128Mi}
  timeout: 5s
  minWarm: 4
  burst: deny
  burstPolicy: eager
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: overflows, namespace: busy}
spec:
  revisions: [{name: v1, package: {path: %[3]s}}]
  resources: {cpu: 500m, memory: 128Mi}
  timeout: 5s
  deadline: 20s
  maxWait: 0s
  minWarm: 4
  burst: allow
  burstPolicy: eager
  cloud:
    - {pool: lambda, function: work, memory: 128Mi, timeout: 2s}
    - {pool: scf, function: work, memory: 128Mi, timeout: 2s}
`, filepath.Join(s.b.dir, "storm-data"), s.b.echo, report)
	for _, c := range s.clouds {
		region := map[string]string{cloud.Lambda: "us-east-1", cloud.SCF: "ap-guangzhou"}[c.provider]
		text += fmt.Sprintf(`---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: %[1]s}
spec: {kind: %[1]s, region: %[2]s, initTimeout: 1s, %[1]s: {endpoint: "http://%[3]s", credentials: {file: %[1]s}}}
`, c.provider, region, c.process.addr)
	}
	files := map[string]string{
		"platform.yaml": text,
		"token":         benchToken + "\n",
		cloud.Lambda:    "[default]\naws_access_key_id = " + benchKey + "\naws_secret_access_key = " + benchToken + "\n",
		cloud.SCF:       "[default]\nsecret_id = " + benchKey + "\nsecret_key = " + benchToken + "\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}
