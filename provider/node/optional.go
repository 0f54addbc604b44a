package node

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// reference is a Secret or ConfigMap that a container's environment may do without.
type reference struct {
	resource, name string
}

// optional returns what containers of p read if it is there, each once.
func optional(p *corev1.Pod) []reference {
	seen := map[reference]bool{}
	var out []reference
	add := func(resource, name string, optional *bool) {
		if r := (reference{resource, name}); optional != nil && *optional && !seen[r] {
			seen[r] = true
			out = append(out, r)
		}
	}
	for _, containers := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range containers {
			environment(&containers[i], add)
		}
	}
	return out
}

func environment(c *corev1.Container, add func(resource, name string, optional *bool)) {
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			continue
		}
		if s := e.ValueFrom.SecretKeyRef; s != nil {
			add("secrets", s.Name, s.Optional)
		}
		if m := e.ValueFrom.ConfigMapKeyRef; m != nil {
			add("configmaps", m.Name, m.Optional)
		}
	}
	for _, e := range c.EnvFrom {
		if s := e.SecretRef; s != nil {
			add("secrets", s.Name, s.Optional)
		}
		if m := e.ConfigMapRef; m != nil {
			add("configmaps", m.Name, m.Optional)
		}
	}
}

var absent = map[string]string{"secrets": "OptionalSecretNotFound", "configmaps": "OptionalConfigMapNotFound"}

// lookWithin bounds the look for what a pod can do without.
const lookWithin = 2 * time.Second

// missing says which optional Secrets and ConfigMaps p goes without: kubelets do not. It
// asks for metadata only, none of what is in them; an account that may not ask says nothing.
func (c *courses) missing(ctx context.Context, p *corev1.Pod) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	for _, r := range optional(p) {
		err := c.client.CoreV1().RESTClient().Get().Namespace(p.Namespace).Resource(r.resource).Name(r.name).
			SetHeader("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1").Do(ctx).Error()
		if apierrors.IsNotFound(err) {
			c.recorder.Event(p, corev1.EventTypeWarning, absent[r.resource], "runs without what it may have of "+r.resource+"/"+r.name+", which is not there")
		}
	}
}
