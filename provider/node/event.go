package node

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/provider/course"
)

// event is what a burst function is called with in place of a pod. It is made of what
// nobody can change in a pod, so that it is the same whenever it is sent.
type event struct {
	Namespace  string      `json:"namespace"`
	Pod        string      `json:"pod"`
	UID        string      `json:"uid"`
	Job        string      `json:"job,omitempty"`
	Index      string      `json:"completionIndex,omitempty"` // of an Indexed Job
	Attempt    int         `json:"attempt"`
	Containers []container `json:"containers"`
}

type container struct {
	Name    string     `json:"name"`
	Command []string   `json:"command,omitempty"`
	Args    []string   `json:"args,omitempty"`
	Env     []variable `json:"env,omitempty"`
	// Withheld are variables that no cloud is told: those of Secrets, ConfigMaps and
	// fields of the pod.
	Withheld []string `json:"withheld,omitempty"`
}

type variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

const completionIndex = "batch.kubernetes.io/job-completion-index"

func eventOf(p *corev1.Pod, i course.Invocation) event {
	e := event{Namespace: p.Namespace, Pod: p.Name, UID: string(p.UID), Index: p.Annotations[completionIndex], Attempt: i.Attempt}
	if owner := metav1.GetControllerOf(p); owner != nil {
		e.Job = owner.Name
	}
	for n := range p.Spec.Containers {
		e.Containers = append(e.Containers, told(&p.Spec.Containers[n]))
	}
	return e
}

// told is what a cloud may know of a container: the values written in it.
func told(of *corev1.Container) container {
	c := container{Name: of.Name, Command: of.Command, Args: of.Args}
	for _, from := range of.EnvFrom {
		switch {
		case from.SecretRef != nil:
			c.Withheld = append(c.Withheld, "secret "+from.SecretRef.Name)
		case from.ConfigMapRef != nil:
			c.Withheld = append(c.Withheld, "configMap "+from.ConfigMapRef.Name)
		}
	}
	for _, v := range of.Env {
		if v.ValueFrom != nil {
			c.Withheld = append(c.Withheld, v.Name)
			continue
		}
		c.Env = append(c.Env, variable{v.Name, v.Value})
	}
	return c
}
