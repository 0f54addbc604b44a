package fromjob

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway/provider/guest"
)

// terms say what becomes of a Job's terms for idle capacity: a function has its own.
func (s *Source) terms() (say []string) {
	for _, t := range [...]struct{ name, instead string }{
		{guest.AnnotationMaxWait, "a function of class: offline waits for idle capacity, as long as its maxWait says; an hour at most, with its run"},
		{guest.AnnotationDeadline, "a call has until its function's deadline, counted from when it is made; an hour at most"},
		{guest.AnnotationBurst, "a function goes to a cloud itself, with burst: allow and a binding in cloud"},
	} {
		if v, ok := s.Job.Template.Annotations[t.name]; ok {
			say = append(say, fmt.Sprintf("Annotation %s: %s is not carried over: %s.", t.name, v, t.instead))
		}
	}
	return say
}

// replaced says what of the cluster has the name of something that is made.
func (s *Source) replaced() (say []string) {
	if s.Cron != nil {
		say = append(say, fmt.Sprintf("The CronJob that calls is called %s, too. kubectl apply leaves what it has not written itself, and so may leave the old container beside the new one: delete the old CronJob before; with kubectl delete --cascade=orphan, Jobs of it that run go on.", s.Name))
	}
	if s.Job.Template.Annotations[guest.AnnotationBurst] == s.Name {
		say = append(say, fmt.Sprintf("Function %s is there already, for the %s's bursts. What is written here takes its place and has no burst and no cloud: copy those, or give it another name.", s.Name, s.Kind))
	}
	return say
}

// dropped are the fields of a Job's pod that are set, and that a function has not.
func (s *Source) dropped() []string {
	var names []string
	add := func(name string, set bool) {
		if set {
			names = append(names, name)
		}
	}
	p := &s.Job.Template.Spec
	add("imagePullSecrets", len(p.ImagePullSecrets) > 0)
	add("nodeSelector", len(p.NodeSelector) > 0)
	add("affinity", p.Affinity != nil)
	add("tolerations", len(p.Tolerations) > 0)
	add("topologySpreadConstraints", len(p.TopologySpreadConstraints) > 0)
	add("priorityClassName", p.PriorityClassName != "")
	add("runtimeClassName", p.RuntimeClassName != nil)
	add("securityContext", p.SecurityContext != nil)
	add("podFailurePolicy", s.Job.PodFailurePolicy != nil)
	add("successPolicy", s.Job.SuccessPolicy != nil)
	for i := range p.Containers {
		container(&p.Containers[i], add)
	}
	return names
}

func container(c *corev1.Container, add func(name string, set bool)) {
	add("workingDir", c.WorkingDir != "")
	add("ports", len(c.Ports) > 0)
	add("the container's securityContext", c.SecurityContext != nil)
	add("lifecycle", c.Lifecycle != nil)
	add("probes", c.LivenessProbe != nil || c.ReadinessProbe != nil || c.StartupProbe != nil)
}
