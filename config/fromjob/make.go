package fromjob

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// Made is what came of a Source.
type Made struct {
	Function v1alpha1.Function `json:"function"`
	// Caller are the objects with which a CronJob calls the function; none for a Job.
	Caller []map[string]any `json:"caller,omitempty"`
	// Write is what a developer must write before it works.
	Write []string `json:"write"`
	// Changes are what is different from the Job, for those who run it.
	Changes []string `json:"changes"`
	// Need is what one run holds, and Timeout how long at most.
	MilliCPU int64             `json:"milliCPU"`
	MiB      int64             `json:"memoryMiB"`
	Timeout  v1alpha1.Duration `json:"timeout"`
}

// Make makes a function of s. The error is Refusals: every reason why it cannot be one.
func (s *Source) Make(o Options) (*Made, error) {
	if refused := s.check(o); len(refused) > 0 {
		return nil, refused
	}
	c := &s.Job.Template.Spec.Containers[0]
	m := &Made{Timeout: v1alpha1.Duration(s.timeout(o))}
	cpu, memory := need(c)
	m.MilliCPU, m.MiB = cpu, (memory+1<<20-1)>>20
	f := &m.Function
	f.APIVersion, f.Kind = "spillway.dev/v1alpha1", "Function"
	f.Metadata = v1alpha1.Metadata{Name: s.Name, Namespace: orElse(s.Namespace, o.Namespace)}
	f.Spec = v1alpha1.FunctionSpec{
		Revisions: []v1alpha1.Revision{{Name: "v1", Image: orElse(o.Image, c.Image), Handler: o.handler(c)}}, Timeout: &m.Timeout,
		Resources: v1alpha1.ResourceRequest{CPU: new(v1alpha1.MilliCPU(cpu)), Memory: new(v1alpha1.Bytes(memory))},
	}
	for _, v := range c.Env {
		if f.Spec.Env == nil {
			f.Spec.Env = map[string]string{}
		}
		f.Spec.Env[v.Name] = v.Value
	}
	if account := s.Job.Template.Spec.ServiceAccountName; account != "" {
		f.Spec.Kubernetes = &v1alpha1.FunctionPods{ServiceAccountName: account}
	}
	m.Write = s.write(c)
	m.Changes = s.changes(o)
	if s.Cron != nil {
		m.Caller = s.caller(f.Metadata, o)
	}
	return m, nil
}

func (s *Source) timeout(o Options) time.Duration {
	switch d := s.Job.ActiveDeadlineSeconds; {
	case o.Timeout > 0:
		return o.Timeout
	case d != nil:
		return time.Duration(*d) * time.Second
	}
	return Longest
}

const (
	leastCPU, leastMemory = 100, 128 << 20 // a function's defaults
)

// need is what the container asks for, in thousandths of a core and bytes.
func need(c *corev1.Container) (milliCPU, memory int64) {
	ask := func(name corev1.ResourceName) (value, milli int64) {
		q, ok := c.Resources.Requests[name]
		if !ok {
			q = c.Resources.Limits[name]
		}
		return q.Value(), q.MilliValue()
	}
	if _, milliCPU = ask(corev1.ResourceCPU); milliCPU <= 0 {
		milliCPU = leastCPU
	}
	if memory, _ = ask(corev1.ResourceMemory); memory <= 0 {
		memory = leastMemory
	}
	return milliCPU, (memory + 1<<20 - 1) &^ (1<<20 - 1)
}

// write says what no tool can do.
func (s *Source) write(c *corev1.Container) []string {
	command := strings.Join(append(slices.Clone(c.Command), c.Args...), " ")
	what := "what the image's own command does"
	if command != "" {
		what = fmt.Sprintf("what %q does", command)
	}
	w := []string{
		"The image's program runs once and ends; a function's program stays, and speaks the Lambda Runtime API: a handler (aws-lambda-go and the like) that for one event does " + what + ", and returns. The agent does not run a plain command as a function.",
		"It must return an error where the command exits with another code than 0; exit codes are lost.",
	}
	if command != "" {
		w = append(w, "command and args are not carried over: read them from the event (spillway invoke -d), or write them into the program.")
	}
	return w
}

// changes says what is different.
func (s *Source) changes(o Options) []string {
	var say []string
	add := func(text string, arguments ...any) { say = append(say, fmt.Sprintf(text, arguments...)) }
	j := &s.Job
	if j.ActiveDeadlineSeconds == nil && o.Timeout == 0 {
		add("It has no activeDeadlineSeconds; as a function it is ended after %s (--timeout says another).", Longest)
	}
	completions, parallel := number(j.Completions, 1), number(j.Parallelism, 1)
	if completions > 1 || parallel > 1 {
		add("%d completions, %d at once: that many calls, made by the caller, with its number in each event: spillway invoke NAMESPACE/NAME -d '{\"index\":0}', and so on. A CronJob with completions and parallelism makes them, with $JOB_COMPLETION_INDEX.", completions, parallel)
	}
	switch limit := number(j.BackoffLimit, 6); {
	case limit == 0:
	case s.Cron == nil:
		add("After a failure a Job runs again, up to %d times; a call is made once, and its caller repeats it if that does no harm.", limit)
	default:
		add("After a failure the CronJob's own Job calls again, up to %d times, also where it is not known whether the function ran.", limit)
	}
	if j.Template.Spec.RestartPolicy == corev1.RestartPolicyOnFailure {
		add("restartPolicy OnFailure: the container is not started again in its place.")
	}
	if j.TTLSecondsAfterFinished != nil && s.Cron == nil {
		add("ttlSecondsAfterFinished is gone: a call leaves no object; spillway explain and the ledger know it.")
	}
	if j.Suspend != nil && *j.Suspend {
		add("suspend is gone: a function runs when it is called.")
	}
	if names := s.dropped(); len(names) > 0 {
		add("Not carried over: %s. What of that the program needs, its image or the pool's settings have to have.", strings.Join(names, ", "))
	}
	say = append(append(say, s.terms()...), s.replaced()...)
	if len(s.Beside) > 0 {
		add("Left as they are, though they are in the file: %s.", strings.Join(s.Beside, ", "))
	}
	for i := range j.Template.Spec.Volumes {
		add("volume %s: its own /tmp is all that a function has to write to, and may be another at the next call.", j.Template.Spec.Volumes[i].Name)
	}
	return say
}

func number(n *int32, otherwise int32) int32 {
	if n == nil {
		return otherwise
	}
	return *n
}

// caller are a CronJob that calls the function with its own account, and what lets it.
func (s *Source) caller(f v1alpha1.Metadata, o Options) []map[string]any {
	name := f.Name + "-invoker"
	meta := func(name string) map[string]any {
		return map[string]any{"name": name, "namespace": f.Namespace}
	}
	const rbac = "rbac.authorization.k8s.io"
	spec := *s.Cron.DeepCopy()
	spec.JobTemplate.Spec = s.calls(f, name, o)
	job, _ := yaml.Marshal(batchv1.CronJob{Spec: spec}) // of plain data
	var written map[string]any
	_ = yaml.Unmarshal(job, &written)
	return []map[string]any{
		{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(name), "automountServiceAccountToken": false},
		{"apiVersion": rbac + "/v1", "kind": "Role", "metadata": meta(name), "rules": []any{map[string]any{
			"apiGroups": []any{"spillway.dev"}, "resources": []any{"functions"}, "resourceNames": []any{f.Name}, "verbs": []any{"invoke"}}}},
		{"apiVersion": rbac + "/v1", "kind": "RoleBinding", "metadata": meta(name),
			"roleRef":  map[string]any{"apiGroup": rbac, "kind": "Role", "name": name},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": name, "namespace": f.Namespace}}},
		{"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta(f.Name), "spec": written["spec"]},
	}
}

// keptOut, if "false", is the label of pods that the webhook of idle capacity leaves alone.
const keptOut = "spillway.dev/offline"

// calls is the Job that calls the function, with its terms as the old one had them.
func (s *Source) calls(f v1alpha1.Metadata, account string, o Options) batchv1.JobSpec {
	const tokens = "/var/run/secrets/spillway.dev"
	j := batchv1.JobSpec{
		Parallelism: s.Job.Parallelism, Completions: s.Job.Completions, CompletionMode: s.Job.CompletionMode,
		BackoffLimit: s.Job.BackoffLimit, TTLSecondsAfterFinished: s.Job.TTLSecondsAfterFinished,
	}
	event := "{}"
	if number(j.Completions, 1) > 1 && j.CompletionMode != nil && *j.CompletionMode == batchv1.IndexedCompletion {
		event = `{"index":$(JOB_COMPLETION_INDEX)}`
	}
	j.Template.Labels = map[string]string{keptOut: "false"} // it only waits for an answer
	j.Template.Spec = corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, ServiceAccountName: account, AutomountServiceAccountToken: new(false),
		Containers: []corev1.Container{{
			Name: "invoke", Image: o.Caller,
			Args:         []string{"invoke", f.Namespace + "/" + f.Name, "-d", event, "--server", o.Server, "--token-file", tokens + "/token"},
			VolumeMounts: []corev1.VolumeMount{{Name: "token", MountPath: tokens, ReadOnly: true}},
			SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), RunAsNonRoot: new(true), RunAsUser: new(int64(65532)), ReadOnlyRootFilesystem: new(true),
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		}},
		Volumes: []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "spillway.dev", Path: "token", ExpirationSeconds: new(int64(3600))}}}}}}},
	}
	return j
}

// YAML is what to apply, the same bytes for the same Source.
func (m *Made) YAML() ([]byte, error) {
	out, err := yaml.Marshal(m.Function)
	if err != nil {
		return nil, fmt.Errorf("write the function: %w", err)
	}
	for _, o := range m.Caller {
		text, err := yaml.Marshal(o)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", o["kind"], err)
		}
		out = append(append(out, "---\n"...), text...)
	}
	return out, nil
}

func sorted(l corev1.ResourceList) []corev1.ResourceName { return slices.Sorted(maps.Keys(l)) }
