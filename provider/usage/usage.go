// Package usage says what the pods of the virtual node use: what the kubelets of the
// real nodes measure of their guests, under the pods' own names.
package usage

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

const (
	askWithin  = 5 * time.Second
	askedAt    = 16       // kubelets at once
	maxSummary = 64 << 20 // bytes of one kubelet's answer
)

// Guest is a running guest of a virtual pod.
type Guest struct {
	Pod     *corev1.Pod // the virtual one
	Name    string      // of the guest, in the pod's namespace
	Kubelet string      // HOST:PORT of its node's
}

// Tokens are what kubelets are shown, of an account that may get nodes/stats and little
// else.
type Tokens interface {
	Current(context.Context) (string, error)
	Refused(token string) // by a kubelet
}

// Config says how kubelets are asked.
type Config struct {
	Node   string         // the virtual node
	Guests func() []Guest // at the moment
	TLS    *tls.Config    // how kubelets are trusted
	Tokens Tokens         // nil: kubelets are shown none
	Log    *slog.Logger
	Now    func() time.Time
}

// Usage asks kubelets. Safe for use by many goroutines.
type Usage struct {
	Config
	began  time.Time
	client *http.Client

	mu     sync.Mutex
	silent map[string]bool // real nodes whose kubelets did not answer the last time
}

// New asks nobody yet.
func New(c Config) *Usage {
	return &Usage{Config: c, began: c.Now(), silent: map[string]bool{}, client: &http.Client{
		Timeout:   askWithin,
		Transport: &http.Transport{TLSClientConfig: c.TLS, MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second},
	}}
}

// Summary is what a kubelet's /stats/summary says. A kubelet that does not answer
// leaves out its pods, and is logged.
func (u *Usage) Summary(ctx context.Context) (*stats.Summary, error) {
	guests := u.Guests()
	asked := u.ask(ctx, guests)
	out := &stats.Summary{Node: stats.NodeStats{NodeName: u.Node, StartTime: metav1.NewTime(u.began)}}
	for _, g := range guests {
		if measured, ok := asked[key{g.Kubelet, g.Pod.Namespace, g.Name}]; ok {
			measured.PodRef = stats.PodReference{Name: g.Pod.Name, Namespace: g.Pod.Namespace, UID: string(g.Pod.UID)}
			out.Pods = append(out.Pods, measured)
		}
	}
	out.Node.CPU, out.Node.Memory = sums(out.Pods, u.Now())
	return out, nil
}

type key struct{ kubelet, namespace, pod string }

// ask returns what all kubelets of guests measure.
func (u *Usage) ask(ctx context.Context, guests []Guest) map[key]stats.PodStats {
	kubelets := map[string]bool{}
	for _, g := range guests {
		kubelets[g.Kubelet] = true
	}
	var (
		all   = map[key]stats.PodStats{}
		mu    sync.Mutex
		wg    sync.WaitGroup
		place = make(chan struct{}, askedAt)
	)
	for kubelet := range kubelets {
		place <- struct{}{}
		wg.Go(func() {
			defer func() { <-place }()
			summary, err := u.one(ctx, kubelet, cpuAndMemory)
			if err != nil {
				u.Log.Warn("usage of guests is not known", "kubelet", kubelet, "err", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, p := range summary.Pods {
				all[key{kubelet, p.PodRef.Namespace, p.PodRef.Name}] = p
			}
		})
	}
	wg.Wait()
	return all
}

// cpuAndMemory spares kubelets the walk over file systems, without which some cannot
// answer at all.
const cpuAndMemory = "only_cpu_and_memory=true"

func (u *Usage) one(ctx context.Context, kubelet, query string) (*stats.Summary, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, (&url.URL{Scheme: "https", Host: kubelet, Path: "/stats/summary", RawQuery: query}).String(), nil)
	if err != nil {
		return nil, err
	}
	token := ""
	if u.Tokens != nil {
		if token, err = u.Tokens.Current(ctx); err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := u.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusUnauthorized && u.Tokens != nil {
		u.Tokens.Refused(token)
		return nil, errors.New("it does not take the token that it is shown, and another is asked for; if that goes on, it needs authentication.webhook.enabled")
	}
	if answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden {
		return nil, errors.New("it refuses: the account needs get on nodes/stats")
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", answer.Status)
	}
	var summary stats.Summary
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxSummary)).Decode(&summary); err != nil {
		return nil, fmt.Errorf("read its summary: %w", err)
	}
	return &summary, nil
}

// sums are what pods use together: the node uses nothing itself.
func sums(pods []stats.PodStats, now time.Time) (*stats.CPUStats, *stats.MemoryStats) {
	var nanoCores, nanoSeconds, working, rss uint64
	for i := range pods {
		if c := pods[i].CPU; c != nil {
			nanoCores += orZero(c.UsageNanoCores)
			nanoSeconds += orZero(c.UsageCoreNanoSeconds)
		}
		if m := pods[i].Memory; m != nil {
			working += orZero(m.WorkingSetBytes)
			rss += orZero(m.RSSBytes)
		}
	}
	at := metav1.NewTime(now)
	return &stats.CPUStats{Time: at, UsageNanoCores: &nanoCores, UsageCoreNanoSeconds: &nanoSeconds},
		&stats.MemoryStats{Time: at, WorkingSetBytes: &working, RSSBytes: &rss}
}

func orZero(n *uint64) uint64 {
	if n == nil {
		return 0
	}
	return *n
}
