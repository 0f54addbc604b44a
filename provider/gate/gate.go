// Package gate is the virtual node's way to ask the dispatcher: may this pod have a
// place, and where; and to tell how it ended. The dispatcher decides and bills; nothing
// is decided here.
package gate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// State is what the dispatcher said of a pod.
type State string

const (
	Admitted State = "admitted" // it may run on idle capacity now
	Waiting  State = "waiting"  // ask again after RetryAfter
	Cloud    State = "cloud"    // its burst function may run, by Run
	Refused  State = "refused"  // never, as it is written
	Over     State = "ended"    // the attempt has ended; ask for the next
)

// Request is a pod that wants a place. The dispatcher knows it by UID: asking again is
// free, and says what holds now.
type Request struct {
	UID            string     `json:"uid"`
	Namespace      string     `json:"namespace"`
	Pod            string     `json:"pod"`
	Job            string     `json:"job,omitempty"`
	Node           string     `json:"node"`
	Attempt        int        `json:"attempt"`
	MilliCPU       int64      `json:"milliCPU"`
	MemoryMiB      int64      `json:"memoryMiB"`
	GPUs           int64      `json:"gpus,omitempty"`
	TimeoutSeconds int64      `json:"timeoutSeconds,omitempty"`
	Deadline       *time.Time `json:"deadline,omitempty"`
	MaxWaitSeconds *int64     `json:"maxWaitSeconds,omitempty"`
	BurstFunction  string     `json:"burstFunction,omitempty"`
	CloudOnly      bool       `json:"cloudOnly,omitempty"` // no real node is as large
	NoRoom         bool       `json:"noRoom,omitempty"`    // none that is takes guests now
}

// Answer is what became of it.
type Answer struct {
	Attempt           int        `json:"attempt"`
	State             State      `json:"state"`
	Pool              string     `json:"pool"`
	Reason            string     `json:"reason"` // spillway's own words: quota_exceeded, no_capacity, …
	Text              string     `json:"text"`   // for people
	RetryAfterSeconds int64      `json:"retryAfterSeconds"`
	CloudAt           *time.Time `json:"cloudAt,omitempty"`
	CloudEstimate     string     `json:"cloudEstimate,omitempty"`
	CloudPool         string     `json:"cloudPool,omitempty"`
	Currency          string     `json:"currency,omitempty"` // of CloudEstimate
}

// End is how one attempt of a pod ended. Telling it twice is free.
type End struct {
	Class     string     `json:"class"` // executed, not_executed, unknown
	Attempt   int        `json:"attempt"`
	Started   *time.Time `json:"started,omitempty"`
	Ended     *time.Time `json:"ended,omitempty"`
	CPUMicros int64      `json:"cpuMicros,omitempty"`
	Failed    bool       `json:"failed,omitempty"` // by its own fault
	Reason    string     `json:"reason,omitempty"`
}

// ErrUnavailable is wrapped by errors after which the same may be asked again: what became
// of it is not known. All others are the dispatcher's word that nothing did.
var ErrUnavailable = errors.New("the dispatcher does not answer")

// maxAnswer bounds what is read of an answer, in bytes: a list of 10,000 pods with the
// longest names is less.
const maxAnswer = 16 << 20

// Gate asks one dispatcher. Safe for use by many goroutines.
type Gate struct {
	server *url.URL
	token  string // file
	client *http.Client
	long   *http.Client // for answers that take as long as a function runs
}

// New asks the dispatcher at server, for example http://spillway.spillway-system:8082,
// with the token in tokenFile, which is read for each request: the kubelet replaces it.
func New(server, tokenFile string, timeout time.Duration) (*Gate, error) {
	at, err := url.Parse(server)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		return nil, fmt.Errorf("--dispatcher: %q is no address; want http://HOST:PORT", server)
	}
	return &Gate{server: at, token: tokenFile, client: &http.Client{Timeout: timeout}, long: new(http.Client)}, nil
}

// Admit asks for a place, or what became of an earlier question.
func (g *Gate) Admit(ctx context.Context, r Request) (Answer, error) {
	var a Answer
	if err := g.send(ctx, http.MethodPost, g.server.JoinPath("v1/offline/admissions"), r, &a); err != nil {
		return Answer{}, fmt.Errorf("ask for a place for pod %s/%s: %w", r.Namespace, r.Pod, err)
	}
	if a.State.known() {
		return a, nil
	}
	return Answer{}, fmt.Errorf("ask for a place for pod %s/%s: the dispatcher answers %q, which this node does not know", r.Namespace, r.Pod, a.State)
}

func (s State) known() bool {
	switch s {
	case Admitted, Waiting, Cloud, Refused, Over:
		return true
	}
	return false
}

// Preview asks what Admit would answer, and changes nothing. The pod need not be there
// yet: any UID and name will do.
func (g *Gate) Preview(ctx context.Context, r Request) (Answer, error) {
	var a Answer
	if err := g.send(ctx, http.MethodPost, g.server.JoinPath("v1/offline/preview"), r, &a); err != nil {
		return Answer{}, fmt.Errorf("ask whether a pod of %s/%s would have a place: %w", r.Namespace, r.Job, err)
	}
	return a, nil
}

// Held is what the dispatcher holds open for a pod.
type Held struct {
	UID       string `json:"uid"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Node      string `json:"node"` // empty: the dispatcher does not know any more
	Answer
}

// Open returns what the dispatcher holds open for the pods of a node, and those of which
// it knows no node.
func (g *Gate) Open(ctx context.Context, node string) ([]Held, error) {
	var list struct {
		Admissions []Held `json:"admissions"`
	}
	if err := g.send(ctx, http.MethodGet, g.server.JoinPath("v1/offline/admissions"), nil, &list); err != nil {
		return nil, fmt.Errorf("ask what is open: %w", err)
	}
	var open []Held
	for _, h := range list.Admissions {
		switch {
		case h.Node != "" && h.Node != node:
		case !h.State.known():
			return nil, fmt.Errorf("ask what is open: the dispatcher says %q of pod %s/%s, which this node does not know", h.State, h.Namespace, h.Pod)
		default:
			open = append(open, h)
		}
	}
	return open, nil
}

// Capacity is what a node has for all that runs there, what runs included.
type Capacity struct {
	MilliCPU  int64 `json:"milliCPU"`
	MemoryMiB int64 `json:"memoryMiB"`
	Pods      int64 `json:"pods"`
}

// Measure tells what a node has; the dispatcher forgets it if it is not told again.
func (g *Gate) Measure(ctx context.Context, node string, c Capacity) error {
	if err := g.send(ctx, http.MethodPut, g.server.JoinPath("v1/offline/capacity", node), c, nil); err != nil {
		return fmt.Errorf("tell the dispatcher what node %s has: %w", node, err)
	}
	return nil
}

// End tells how an attempt ended.
func (g *Gate) End(ctx context.Context, uid string, e End) error {
	if err := g.send(ctx, http.MethodPost, g.server.JoinPath("v1/offline/admissions", uid, "end"), e, nil); err != nil {
		return fmt.Errorf("tell how pod %s ended: %w", uid, err)
	}
	return nil
}

func (g *Gate) send(ctx context.Context, method string, to *url.URL, what, into any) error {
	return g.sendBy(ctx, g.client, method, to, what, into)
}

func (g *Gate) sendBy(ctx context.Context, by *http.Client, method string, to *url.URL, what, into any) error {
	var body io.Reader
	if what != nil {
		text, err := json.Marshal(what)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, to.String(), body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if g.token != "" {
		token, err := os.ReadFile(g.token)
		if err != nil {
			return fmt.Errorf("%w: read the token for it: %w", ErrUnavailable, err)
		}
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	answer, err := by.Do(r)
	if err != nil {
		return errors.Join(ErrUnavailable, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return errors.Join(ErrUnavailable, err)
	}
	if len(text) > maxAnswer {
		return fmt.Errorf("%w: it answers more than %d bytes", ErrUnavailable, maxAnswer)
	}
	if err := refusal(answer.StatusCode, text); err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%w: read its answer: %w", ErrUnavailable, err)
	}
	return nil
}

// refusal is what a status says that is not success.
func refusal(status int, body []byte) error {
	const shown = 300
	text := strings.TrimSpace(string(body[:min(len(body), shown)]))
	switch {
	case status < 300:
		return nil
	case status == http.StatusForbidden:
		return fmt.Errorf("%w: %s", ErrForbidden, shorn(body))
	case status == http.StatusTooManyRequests || status >= 500:
		return fmt.Errorf("%w: it answers %d: %s", ErrUnavailable, status, text)
	}
	return fmt.Errorf("the dispatcher answers %d: %s", status, text)
}
