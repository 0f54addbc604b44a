// Package fromjob makes a Function of a Kubernetes Job, and of a CronJob a Function and a
// CronJob that calls it; and says what is different then. It reads no cluster.
package fromjob

import (
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Longest is the longest that a function runs.
const Longest = 15 * time.Minute

// Options are what a Job does not say.
type Options struct {
	Namespace string // of a Job that names none
	Image     string // in place of the container's, NAME@sha256:…; empty: its own
	Handler   string // absolute path of the function's program in the image; empty: the container's command
	Timeout   time.Duration
	Caller    string // image with the spillway command, for CronJobs
	Server    string // URL of the front door, for CronJobs
}

// Source is a Job or CronJob as it was written.
type Source struct {
	Kind string // Job or CronJob
	metav1.ObjectMeta
	Job  batchv1.JobSpec
	Cron *batchv1.CronJobSpec // of a CronJob
	// Beside are the other objects of the file, kind and name; nothing becomes of them.
	Beside []string
}

// maxSource bounds a file, in bytes.
const maxSource = 1 << 20

// Read reads the one Job or CronJob of version batch/v1 that is in a file; unknown and
// repeated fields are errors, as are none and several.
func Read(text []byte) (*Source, error) {
	if len(text) > maxSource {
		return nil, fmt.Errorf("the file is larger than %d bytes; a Job is not", maxSource)
	}
	doc, beside, err := only(text)
	if err != nil {
		return nil, err
	}
	if doc.Kind == "Job" {
		var j batchv1.Job
		if err := yaml.UnmarshalStrict(doc.text, &j); err != nil {
			return nil, fmt.Errorf("no Job: %w", err)
		}
		return &Source{Kind: doc.Kind, ObjectMeta: j.ObjectMeta, Job: j.Spec, Beside: beside}, nil
	}
	var c batchv1.CronJob
	if err := yaml.UnmarshalStrict(doc.text, &c); err != nil {
		return nil, fmt.Errorf("no CronJob: %w", err)
	}
	return &Source{Kind: doc.Kind, ObjectMeta: c.ObjectMeta, Job: c.Spec.JobTemplate.Spec, Cron: &c.Spec, Beside: beside}, nil
}

// Refusal is why something cannot be a function.
type Refusal struct {
	Field string `json:"field"`
	Text  string `json:"text"`           // why, and what to do
	Flag  bool   `json:"flag,omitempty"` // a flag of the command says what is missing
}

// Refusals is every reason at once.
type Refusals []Refusal

func (r Refusals) Error() string {
	said := make([]string, len(r))
	for i := range r {
		said[i] = r[i].Field + ": " + r[i].Text
	}
	return strings.Join(said, "\n")
}

// OnlyFlags reports whether nothing refuses but what flags can say.
func (r Refusals) OnlyFlags() bool {
	return !slices.ContainsFunc(r, func(one Refusal) bool { return !one.Flag })
}

func (r *Refusals) add(field, text string, arguments ...any) {
	*r = append(*r, Refusal{Field: field, Text: fmt.Sprintf(text, arguments...)})
}

// ask adds what a flag can say.
func (r *Refusals) ask(field, text string, arguments ...any) {
	*r = append(*r, Refusal{Field: field, Text: fmt.Sprintf(text, arguments...), Flag: true})
}

// check returns every reason for which s cannot be a function.
func (s *Source) check(o Options) Refusals {
	var r Refusals
	p := &s.Job.Template.Spec
	if s.Name == "" {
		r.add("metadata.name", "is needed: it is the function's name")
	}
	if len(p.Containers) != 1 || len(p.InitContainers) > 0 {
		r.add("spec.template.spec.containers", "there are %d, and %d init containers; a function is one program: put them into one image, or let it stay a Job", len(p.Containers), len(p.InitContainers))
	}
	if p.HostNetwork || p.HostPID || p.HostIPC {
		r.add("spec.template.spec", "it shares the machine (hostNetwork, hostPID or hostIPC); a function does not")
	}
	if len(p.ResourceClaims) > 0 {
		r.add("spec.template.spec.resourceClaims", "a function has none; let it stay a Job")
	}
	for i := range p.Volumes {
		if v := &p.Volumes[i]; v.EmptyDir == nil {
			r.add(fmt.Sprintf("spec.template.spec.volumes[%d]", i), "%s: a function has no volumes but its own /tmp; read and write over the network, or let it stay a Job", v.Name)
		}
	}
	if d := s.Job.ActiveDeadlineSeconds; d != nil && time.Duration(*d)*time.Second > Longest && o.Timeout == 0 {
		r.add("spec.activeDeadlineSeconds", "%d: a function runs for 900 seconds at most; split the work, say --timeout, or let it stay a Job on idle capacity", *d)
	}
	if o.Timeout > Longest {
		r.add("--timeout", "%s: a function runs for %s at most", o.Timeout, Longest)
	}
	if s.Cron != nil && o.Caller == "" {
		r.ask("--caller-image", "is needed: the CronJob calls the function by 'spillway invoke', from an image that has it")
	}
	for i := range p.Containers {
		r.container(fmt.Sprintf("spec.template.spec.containers[%d]", i), &p.Containers[i], o)
	}
	return r
}

func (r *Refusals) container(at string, c *corev1.Container, o Options) {
	if image := orElse(o.Image, c.Image); !strings.Contains(image, "@sha256:") && !strings.HasPrefix(image, "localhost/") {
		r.ask(at+".image", "%q is a tag, which may be another image tomorrow; name NAME@sha256:… with --image", image)
	}
	if !strings.HasPrefix(o.handler(c), "/") {
		r.ask(at+".command", "names no program by its absolute path; say with --handler where the function's program is in the image")
	}
	for _, from := range c.EnvFrom {
		r.add(at+".envFrom", "%sa function's env is written in it, and not for secrets; have the program fetch them by its service account", sourceName(from))
	}
	for _, v := range c.Env {
		if v.ValueFrom != nil {
			r.add(at+".env", "%s comes from elsewhere; a function's env is written in it, and not for secrets; have the program fetch it by its service account", v.Name)
		}
	}
	for _, list := range []corev1.ResourceList{c.Resources.Requests, c.Resources.Limits} {
		for _, name := range sorted(list) {
			switch name {
			case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
			default:
				r.add(at+".resources", "%s: functions have cpu and memory only; let it stay a Job", name)
			}
		}
	}
}

// handler is the program that the function is.
func (o *Options) handler(c *corev1.Container) string {
	if o.Handler == "" && len(c.Command) > 0 {
		return c.Command[0]
	}
	return o.Handler
}

func sourceName(f corev1.EnvFromSource) string {
	switch {
	case f.SecretRef != nil:
		return "secret " + f.SecretRef.Name + ": "
	case f.ConfigMapRef != nil:
		return "configMap " + f.ConfigMapRef.Name + ": "
	}
	return ""
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
