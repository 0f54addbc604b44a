package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	authentication "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway/internal/kubetest"
)

// world is a cluster with images and callers.
type world struct {
	*kubetest.Cluster
	dir     string
	config  *rest.Config
	client  kubernetes.Interface
	objects client.Client // with the kinds of spillway.dev; of the section with many
	http    *http.Client
	token   string // of a caller that may invoke everything in namespace shop

	agent, echo, task string // images by digest: runtime, a function, a program that ends
	authority         string // of agents: PEM
	runs              int
}

const namespaces = `{apiVersion: v1, kind: Namespace, metadata: {name: spillway-system}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: spillway-pool, labels: {pod-security.kubernetes.io/enforce: restricted}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: jobs}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {pod-security.kubernetes.io/enforce: restricted}}}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: spillway-instance}, value: 0, preemptionPolicy: Never}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: caller, namespace: shop}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: bench-invoker}, rules: [{apiGroups: [spillway.dev], resources: [functions], verbs: [invoke]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: bench-caller}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: bench-invoker}, subjects: [{kind: ServiceAccount, name: caller, namespace: shop}]}
`

func newWorld(ctx context.Context) (w *world, err error) {
	w = &world{}
	if w.dir, err = os.MkdirTemp("", "spillway-bench-cluster-"); err != nil {
		return nil, err
	}
	if w.Cluster, err = kubetest.Start(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(w.dir))
	}
	if err := w.fill(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) close() error { return errors.Join(w.Down(), os.RemoveAll(w.dir)) }

func (w *world) fill(ctx context.Context) (err error) {
	if w.config, err = clientcmd.BuildConfigFromFlags("", w.Kubeconfig); err != nil {
		return err
	}
	w.config.Dial, w.config.QPS = w.Dial, -1
	if w.client, err = kubernetes.NewForConfig(w.config); err != nil {
		return err
	}
	w.http = &http.Client{Timeout: 5 * time.Minute, Transport: &http.Transport{DialContext: w.Dial, MaxIdleConnsPerHost: 512, DisableCompression: true}}
	if err := w.images(ctx); err != nil {
		return err
	}
	crds, err := filepath.Abs("manifests/base/crds")
	if err != nil {
		return err
	}
	if _, err := w.Kubectl(ctx, "apply", "--server-side", "-f", crds); err != nil {
		return err
	}
	if err := w.Apply(ctx, namespaces); err != nil {
		return err
	}
	return until(ctx, 10*time.Second, "a token for callers", func() error { // the API server may not see the namespace yet
		r, err := w.client.CoreV1().ServiceAccounts("shop").CreateToken(ctx, "caller", &authentication.TokenRequest{
			Spec: authentication.TokenRequestSpec{Audiences: []string{"spillway.dev"}, ExpirationSeconds: new(int64(4 * 3600))},
		}, metav1.CreateOptions{})
		if err == nil {
			w.token = r.Status.Token
		}
		return err
	})
}

// images builds the programs and puts those on the node that pods run.
func (w *world) images(ctx context.Context) (err error) {
	if err := w.build(ctx, map[string]string{
		"spillway": "./cmd/spillway", "spillway-agent": "./cmd/spillway-agent", "task": "./internal/kubetest/app",
		"functions/echo/bootstrap": "./examples/functions/echo", "functions/report/bootstrap": "./examples/functions/report",
	}); err != nil {
		return err
	}
	if w.agent, err = w.Image(ctx, "localhost/spillway/agent:bench", filepath.Join(w.dir, "spillway-agent"), "serve"); err != nil {
		return err
	}
	if w.echo, err = w.Image(ctx, "localhost/bench/echo:bench", filepath.Join(w.dir, "functions/echo/bootstrap")); err != nil {
		return err
	}
	w.task, err = w.Image(ctx, "localhost/bench/task:bench", filepath.Join(w.dir, "task"), "done")
	return err
}

// build builds programs; programs are their folders by where they go.
func (w *world) build(ctx context.Context, programs map[string]string) error {
	for path, folder := range programs {
		cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-tags", "lambda.norpc", "-o", filepath.Join(w.dir, path), folder)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", folder, err, out)
		}
	}
	return nil
}

// run runs the command in the cluster's network.
func (w *world) run(ctx context.Context, args ...string) (string, error) {
	out, err := w.Command(ctx, filepath.Join(w.dir, "spillway"), args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("spillway %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// answer is of one call.
type answer struct {
	status       int
	pool, reason string
	body         string
	took         time.Duration
}

// call invokes a function by its URL.
func (w *world) call(ctx context.Context, namespace, function, payload string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+front+"/namespaces/"+namespace+"/functions/"+function+"/invoke", strings.NewReader(payload))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	r.Header.Set("Content-Type", "application/json")
	at := time.Now()
	resp, err := w.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header.Get("X-Spillway-Pool"), resp.Header.Get("X-Spillway-Reason"), string(body), time.Since(at)}, err
}

// good is call that must be answered by a pool, with what was sent.
func (w *world) good(ctx context.Context, function, payload, pool string) (time.Duration, error) {
	a, err := w.call(ctx, "shop", function, payload)
	if err == nil && (a.status != http.StatusOK || a.pool != pool || a.body != payload) {
		err = fmt.Errorf("call of %s: want %s from %s, got %+v", function, payload, pool, a)
	}
	return a.took, err
}

// until tries again and again until it works.
func until(ctx context.Context, limit time.Duration, what string, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, context.Cause(ctx), err)
		}
	}
}
