package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

const (
	maxRevisions = 16
	maxRegions   = 64
	maxEnvBytes  = 4096
)

var (
	digestForm    = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	envForm       = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	lambdaName    = regexp.MustCompile(`^((arn:aws[a-z-]*:lambda:[a-z0-9-]+:)?[0-9]{12}:function:)?[A-Za-z0-9_-]{1,64}$`)
	scfName       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,58}[A-Za-z0-9]$`)
	qualifierForm = regexp.MustCompile(`^(\$LATEST|[A-Za-z0-9_-]{1,128})$`)
)

// ownEnv are variables that a function finds set by whoever runs it.
var ownEnv = []string{"_HANDLER", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_EXECUTION_ENV"}

// maxConcurrency is how many requests one instance may take at once.
const maxConcurrency = 1000

func (l *loading) checkFunction(e entry[v1alpha1.Function]) {
	spec := &e.object.Spec
	l.checkRevisions(e.source, spec)
	checkTraffic(e.source, spec)
	e.oneOf("spec.contract", spec.Contract, []string{"lambda", "http"})
	e.oneOf("spec.class", spec.Class, []string{"online", "offline"}, "nearline")
	checkOfflineClass(e.source, spec)
	e.oneOf("spec.burst", spec.Burst, []string{"allow", "deny"})
	e.oneOf("spec.retry", spec.Retry, []string{"never", "idempotent"})
	switch c := *spec.Concurrency; {
	case c < 1 || c > maxConcurrency:
		e.fault("spec.concurrency", fmt.Sprintf("%d is out of range", c), fmt.Sprintf("1 to %d", maxConcurrency))
	case c > 1 && spec.Contract != "http":
		e.fault("spec.concurrency", fmt.Sprintf("%d: the Lambda Runtime API hands an instance one invocation at a time", c), "1, or contract: http")
	}
	e.cpu("spec.resources.cpu", spec.Resources.CPU, 1, 1024*1000)
	e.memory("spec.resources.memory", spec.Resources.Memory, mib, 1<<40)
	e.count("spec.minWarm", spec.MinWarm, 0, 1000)
	checkTimes(e.source, spec)
	if spec.DataClass != "" {
		e.label("spec.dataClass", spec.DataClass)
	}
	e.label("spec.burstPolicy", spec.BurstPolicy)
	e.labels("spec.residency", spec.Residency, maxRegions)
	if k := spec.Kubernetes; k != nil && k.ServiceAccountName != "" {
		e.label("spec.kubernetes.serviceAccountName", k.ServiceAccountName)
	}
	checkEnv(e.source, spec.Env)
	if n := len(spec.Cloud); n > spillway.MaxPools {
		e.fault("spec.cloud", fmt.Sprintf("has %d entries", n), fmt.Sprintf("at most one for each pool, %d", spillway.MaxPools))
		return
	}
	for i := range spec.Cloud {
		l.checkBinding(e.source, spec, i)
	}
}

func checkTimes(s *source, spec *v1alpha1.FunctionSpec) {
	s.duration("spec.timeout", spec.Timeout, v1alpha1.Duration(time.Millisecond), maxExecution)
	s.duration("spec.deadline", spec.Deadline, v1alpha1.Duration(time.Millisecond), maxDeadline)
	s.duration("spec.maxWait", spec.MaxWait, 0, maxDeadline)
	if *spec.Timeout > *spec.Deadline && !s.faulty("spec.deadline") {
		s.fault("spec.timeout", fmt.Sprintf("%s is longer than the deadline, %s", spec.Timeout, spec.Deadline), "at most spec.deadline")
	}
	if *spec.MaxWait > *spec.Deadline && !s.faulty("spec.deadline") {
		s.fault("spec.maxWait", fmt.Sprintf("%s is longer than the deadline, %s", spec.MaxWait, spec.Deadline), "at most spec.deadline")
	}
}

// labels checks a list of names without repetition.
func (s *source) labels(path string, values []string, most int) {
	if len(values) > most {
		s.fault(path, fmt.Sprintf("has %d entries", len(values)), fmt.Sprintf("at most %d", most))
		return
	}
	seen := make(map[string]bool, len(values))
	for i, v := range values {
		if len(s.bad) > maxObjectFaults {
			return
		}
		if s.label(index(path, i), v) && seen[v] {
			s.fault(index(path, i), quoteShort(v)+" is listed twice", "each name once")
		}
		seen[v] = true
	}
}

func (l *loading) checkRevisions(s *source, spec *v1alpha1.FunctionSpec) {
	if n := len(spec.Revisions); n == 0 || n > maxRevisions {
		s.fault("spec.revisions", fmt.Sprintf("has %d entries", n), fmt.Sprintf("1 to %d", maxRevisions))
		return
	}
	names := make([]string, 0, len(spec.Revisions))
	for i := range spec.Revisions {
		r := &spec.Revisions[i]
		path := index("spec.revisions", i)
		names = append(names, r.Name)
		if s.label(path+".name", r.Name) && slices.Contains(names[:i], r.Name) {
			s.fault(path+".name", quoteShort(r.Name)+" is the name of an earlier revision", "a name of its own for each revision")
		}
		if r.Qualifier != "" && !qualifierForm.MatchString(r.Qualifier) {
			s.fault(path+".qualifier", quoteShort(r.Qualifier)+" is not a version or alias", "$LATEST, a version number or an alias name")
		}
		l.checkCode(s, path, r)
	}
}

func checkTraffic(s *source, spec *v1alpha1.FunctionSpec) {
	names := revisionNames(spec)
	if len(spec.Traffic) == 0 {
		if len(spec.Revisions) > 1 {
			s.fault("spec.traffic", "is required when there are several revisions", "entries whose weights add up to 100")
		}
		return
	}
	if n := len(spec.Traffic); n > maxRevisions {
		s.fault("spec.traffic", fmt.Sprintf("has %d entries", n), fmt.Sprintf("at most %d", maxRevisions))
		return
	}
	var total int64
	bad := false
	for i, t := range spec.Traffic {
		path := index("spec.traffic", i)
		if !slices.Contains(names, t.Revision) {
			s.fault(path+".revision", "there is no revision "+quoteShort(t.Revision)+s.suggest(t.Revision, names), "a name of spec.revisions")
		}
		if t.Weight == nil {
			s.fault(path+".weight", "is required", "0 to 100")
		}
		s.count(path+".weight", t.Weight, 0, 100)
		bad = bad || s.faulty(path+".weight")
		for j := range i {
			if spec.Traffic[j].Revision == t.Revision {
				s.fault(path+".revision", quoteShort(t.Revision)+fmt.Sprintf(" is already in spec.traffic[%d]", j), "one entry for each revision")
			}
		}
		if !bad {
			total += *t.Weight
		}
	}
	if total != 100 && !bad {
		s.fault("spec.traffic", fmt.Sprintf("the weights add up to %d", total), "100")
	}
}

// revisionNames returns the names sorted, once each.
func revisionNames(spec *v1alpha1.FunctionSpec) []string {
	names := make([]string, len(spec.Revisions))
	for i, r := range spec.Revisions {
		names[i] = r.Name
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func checkEnv(s *source, env map[string]string) {
	size := 0
	for _, key := range sortedKeys(env) {
		path := "spec.env." + key
		size += len(key) + len(env[key])
		switch {
		case !envForm.MatchString(key):
			s.fault(path, quoteShort(key)+" is not a name of an environment variable", "letters, digits and _, not beginning with a digit, at most 128")
		case slices.Contains(ownEnv, key) || strings.HasPrefix(key, "AWS_LAMBDA_"):
			s.fault(path, "is set by what runs the function", "another name")
		case strings.ContainsRune(env[key], 0):
			s.fault(path, "contains a NUL character", "text")
		}
	}
	if size > maxEnvBytes {
		s.fault("spec.env", fmt.Sprintf("has %d bytes of names and values", size), fmt.Sprintf("at most %d", maxEnvBytes))
	}
}

const bindingQualifiers = "$LATEST, a version number or an alias name; $DEFAULT too on scf"

// checkBinding refuses what could not run at the provider as written.
func (l *loading) checkBinding(s *source, spec *v1alpha1.FunctionSpec, i int) {
	b, path := &spec.Cloud[i], index("spec.cloud", i)
	s.label(path+".pool", b.Pool)
	for j := range i {
		if spec.Cloud[j].Pool == b.Pool {
			s.fault(path+".pool", fmt.Sprintf("pool %s already has spec.cloud[%d]", quoteShort(b.Pool), j), "one entry for each pool")
		}
	}
	switch {
	case spec.Contract == "http" && b.Payload != "http-v2":
		s.fault(path+".payload", "is required for a web function: clouds are sent events", "http-v2, if the function takes events of payload format 2.0 there; else no binding")
	case spec.Contract == "lambda" && b.Payload != "":
		s.fault(path+".payload", "means nothing for this contract", "only with spec.contract: http")
	}
	if pool := l.pool(b.Pool); pool != nil && pool.Kind == "scf" {
		checkSCFBinding(s, b, path)
		checkBindingTime(s, spec, b, path)
		return
	}
	if !lambdaName.MatchString(b.Function) {
		s.fault(path+".function", quoteShort(b.Function)+" is not a Lambda function name", "a name of at most 64 letters, digits, - and _, or a function ARN; the alias goes to qualifier")
	}
	if !qualifierForm.MatchString(b.Qualifier) {
		s.fault(path+".qualifier", quoteShort(b.Qualifier)+" is not a version or alias", bindingQualifiers)
	}
	s.memory(path+".memory", b.Memory, minLambdaMemory, 10240*mib)
	if *b.Memory%mib != 0 {
		s.fault(path+".memory", b.Memory.String()+" is not whole MiB", "128Mi to 10240Mi in steps of 1Mi")
	}
	s.duration(path+".timeout", b.Timeout, second, maxExecution)
	checkBindingTime(s, spec, b, path)
}

// checkSCFBinding refuses what SCF could not run as written.
func checkSCFBinding(s *source, b *v1alpha1.Binding, path string) {
	if !scfName.MatchString(b.Function) {
		s.fault(path+".function", quoteShort(b.Function)+" is not an SCF function name", "2 to 60 letters, digits, - and _, beginning with a letter, ending with a letter or digit")
	}
	if !qualifierForm.MatchString(b.Qualifier) && b.Qualifier != "$DEFAULT" {
		s.fault(path+".qualifier", quoteShort(b.Qualifier)+" is not a version or alias", bindingQualifiers)
	}
	s.memory(path+".memory", b.Memory, 64*mib, 3072*mib)
	if *b.Memory != 64*mib && *b.Memory%scfStep != 0 {
		s.fault(path+".memory", b.Memory.String()+" is not a size that SCF has", "64Mi, or 128Mi to 3072Mi in steps of 128Mi")
	}
	s.duration(path+".timeout", b.Timeout, second, maxSCFExecution)
}

func checkBindingTime(s *source, spec *v1alpha1.FunctionSpec, b *v1alpha1.Binding, path string) {
	switch {
	case *b.Timeout%second != 0:
		s.fault(path+".timeout", b.Timeout.String()+" is not whole seconds, which is how clouds count", "1s to 15m in steps of 1s")
	case *b.Timeout > *spec.Deadline && !s.faulty("spec.deadline"):
		s.fault(path+".timeout", fmt.Sprintf("the provider would run it for %s, longer than the deadline, %s", b.Timeout, spec.Deadline),
			"at most spec.deadline")
	}
}
