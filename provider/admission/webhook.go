package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/spillway-dev/spillway/provider/gate"
	"github.com/spillway-dev/spillway/provider/guest"
)

// Answer is what became of one pod, for metrics.
type Answer string

const (
	Placed     Answer = "placed"     // it was sent to the virtual node
	Left       Answer = "left"       // it is not meant, or the node has not what it asks for
	Unfit      Answer = "unfit"      // it cannot run as a guest
	Refused    Answer = "refused"    // the dispatcher says no
	Unanswered Answer = "unanswered" // the dispatcher or the API server does not say
)

// Answers are all of them.
var Answers = []Answer{Placed, Left, Unfit, Refused, Unanswered}

// audited is the audit annotation that says why, below the webhook's own name.
const audited = "placement"

// Dispatcher says what a pod would be told if it asked for room; *gate.Gate does.
type Dispatcher interface {
	Preview(context.Context, gate.Request) (gate.Answer, error)
}

// Webhook decides about pods that are made. Safe for use by many goroutines.
type Webhook struct {
	Node       string // the virtual node
	Dispatcher Dispatcher
	// Find returns the node's object.
	Find func(context.Context) (*corev1.Node, error)
	// Within bounds a decision; less than the API server waits.
	Within time.Duration
	Told   func(Answer) // may be nil
}

// Handler is what the API server calls.
func (h *Webhook) Handler() (http.Handler, error) {
	return ctrladmission.StandaloneWebhook(&ctrladmission.Webhook{Handler: h}, ctrladmission.StandaloneOptions{Logger: logr.Discard()})
}

// Handle decides about one pod. It always lets it be made.
func (h *Webhook) Handle(ctx context.Context, r ctrladmission.Request) ctrladmission.Response {
	ctx, cancel := context.WithTimeout(ctx, h.Within)
	defer cancel()
	response := ctrladmission.Allowed("")
	var p corev1.Pod
	said := verdict{answer: Left, why: "the object is no pod that is made"}
	if r.Operation == admissionv1.Create && r.SubResource == "" && json.Unmarshal(r.Object.Raw, &p) == nil {
		p.Namespace = r.Namespace
		said = h.decide(ctx, &p, string(r.UID), &response)
	}
	if said.err != nil {
		said.answer, said.why = Left, "write the patch: "+said.err.Error()
	} else if said.patch != nil {
		kind := admissionv1.PatchTypeJSONPatch
		response.Patch, response.PatchType = said.patch, &kind
	}
	response.AuditAnnotations = map[string]string{audited: string(said.answer) + ": " + said.why}
	if h.Told != nil {
		h.Told(said.answer)
	}
	return response
}

// verdict is what becomes of a pod, and what is changed of it for that.
type verdict struct {
	answer Answer
	why    string
	patch  []byte
	err    error // of the patch
}

func (h *Webhook) decide(ctx context.Context, p *corev1.Pod, uid string, response *ctrladmission.Response) verdict {
	job, meant := jobOf(p)
	if !meant {
		return verdict{answer: Left, why: "it belongs to no Job, or asks not to run on idle capacity"}
	}
	n, answer, why := h.judge(ctx, p, job, uid, response)
	said := verdict{answer: answer, why: why}
	if answer == Placed {
		said.patch, said.err = patchOf(p, n)
	} else {
		said.patch, said.err = leftAs(p, string(answer)+": "+why)
	}
	return said
}

// judge decides about a pod that is meant for n, the virtual node.
func (h *Webhook) judge(ctx context.Context, p *corev1.Pod, job, uid string, response *ctrladmission.Response) (n *corev1.Node, answer Answer, why string) {
	if refused := guest.Check(p); len(refused) > 0 {
		for _, one := range refused {
			response.Warnings = append(response.Warnings, "does not run on idle capacity: "+one.Field+": "+one.Text)
		}
		return nil, Unfit, refused.Error()
	}
	n, err := h.Find(ctx)
	if err != nil {
		return nil, Unanswered, fmt.Sprintf("look for node %s: %v", h.Node, err)
	}
	if why := fits(p, n); why != "" {
		return n, Left, why
	}
	said, err := h.Dispatcher.Preview(ctx, requestOf(p, h.Node, job, uid))
	switch {
	case err != nil:
		return n, Unanswered, err.Error()
	case said.State == gate.Admitted || said.State == gate.Waiting || said.State == gate.Cloud:
		return n, Placed, fmt.Sprintf("on node %s; by now it would be %s", h.Node, said.State)
	}
	return n, Refused, said.Reason + ": " + said.Text
}

// requestOf asks as the virtual node will ask for the same pod.
func requestOf(p *corev1.Pod, node, job, uid string) gate.Request {
	needs := guest.Requests(p)
	terms, _ := guest.TermsOf(p) // checked before
	r := gate.Request{
		UID: uid, Namespace: p.Namespace, Pod: nameOf(p), Job: job, Node: node,
		MilliCPU: needs.MilliCPU, MemoryMiB: needs.MiB, GPUs: needs.GPUs, BurstFunction: terms.Burst,
	}
	if p.Spec.ActiveDeadlineSeconds != nil {
		r.TimeoutSeconds = *p.Spec.ActiveDeadlineSeconds
	}
	if !terms.Deadline.IsZero() {
		r.Deadline = &terms.Deadline
	}
	if terms.MaxWait != nil {
		seconds := int64(*terms.MaxWait / time.Second)
		r.MaxWaitSeconds = &seconds
	}
	return r
}
