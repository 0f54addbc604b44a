package kube

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
)

// Labels of every pod that a pool makes.
const (
	LabelPool     = "spillway.dev/pool"
	LabelOwner    = "spillway.dev/owner"    // which run of the dispatcher
	LabelInstance = "spillway.dev/instance" // of the owner; not on pods that wait for a package
	LabelFunction = "spillway.dev/function"
	LabelRevision = "spillway.dev/revision"
	LabelSize     = "spillway.dev/size" // of pods that wait, or waited, for a package
	// LabelTenant is the namespace of the function, which differs from the pod's for
	// pods of the package pool.
	LabelTenant = "spillway.dev/tenant"
	// LabelIdle is the pool of a pod that runs in idle capacity, and LabelRetry is
	// "idempotent" on one whose calls may begin again elsewhere. The virtual node reads both.
	LabelIdle  = "spillway.dev/offline-instance"
	LabelRetry = "spillway.dev/retry"
)

// IdlePriority is the PriorityClass of pods in idle capacity: below everything online,
// and without preemption. Manifests make it.
const IdlePriority = "spillway-guest"

// Of every pod.
const (
	agentVolume = "spillway-agent"
	agentDir    = "/spillway"
	workVolume  = "spillway-work"
	workDir     = "/var/spillway"
	tmpVolume   = "tmp"

	agentUser = 65532

	// overheadMiB and overheadMilliCPU are what the agent needs beside the function.
	overheadMiB      = 32
	overheadMilliCPU = 10

	// graceSeconds is how long a pod may take that we delete: it runs nothing that is
	// wanted. drainSeconds is how long one may that others delete, as a drain of its node
	// does: its agent takes no more calls then and ends with the last, which the longest
	// timeout bounds.
	graceSeconds = 2
	drainSeconds = 15*60 + 5
	// reclaimSeconds is drainSeconds where online work wants the room.
	reclaimSeconds = 10

	container = "function"
)

// virtual is the label of nodes that are not machines: nothing of ours runs there.
const virtual = "type"

// specOf makes the pods of one pool. It is pure.
type specOf struct {
	pool     string
	owner    string
	agent    string // image with the agent, which is RuntimeImage of the pool
	ca       string // PEM of the certificates by which an agent knows the dispatcher
	region   string
	priority string
	idle     bool // see Config
	pods     spillway.KubernetesPods
}

// instance is a pod for one instance of a function, from its image or with the
// function's own service account. Its name is the API server's choice.
func (s specOf) instance(id spillway.InstanceID, f *spillway.Function) *corev1.Pod {
	p := s.pod(f.FunctionKey.Namespace, f.Name+"-", f.Instance)
	p.Labels[LabelInstance] = instanceLabel(id)
	p.Labels[LabelFunction], p.Labels[LabelRevision], p.Labels[LabelTenant] = f.Name, f.Revision, f.FunctionKey.Namespace
	p.Spec.PriorityClassName = s.priority
	if s.idle {
		s.inIdle(p, f)
	}
	if f.ServiceAccount != "" {
		p.Spec.ServiceAccountName = f.ServiceAccount
		p.Spec.AutomountServiceAccountToken = new(true)
	}
	if f.Image == "" {
		return p
	}
	c := &p.Spec.Containers[0]
	c.Image = f.Image
	c.Command = []string{agentDir + "/agent", "serve", "--dir", workDir, "--", f.Handler}
	p.Spec.InitContainers = []corev1.Container{{
		Name: "agent", Image: s.agent, ImagePullPolicy: corev1.PullIfNotPresent,
		Command:         []string{"/spillway-agent", "install", agentDir},
		Resources:       c.Resources,
		SecurityContext: c.SecurityContext,
		VolumeMounts:    []corev1.VolumeMount{{Name: agentVolume, MountPath: agentDir}},
	}}
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: agentVolume, MountPath: agentDir, ReadOnly: true})
	p.Spec.Volumes = append(p.Spec.Volumes, emptyDir(agentVolume))
	return p
}

// inIdle makes a pod one that online work may take away.
func (s specOf) inIdle(p *corev1.Pod, f *spillway.Function) {
	p.Spec.PriorityClassName = IdlePriority
	p.Spec.TerminationGracePeriodSeconds = new(int64(reclaimSeconds))
	p.Labels[LabelIdle] = s.pool
	if f.Retry == spillway.RetryIdempotent {
		p.Labels[LabelRetry] = "idempotent"
	}
}

// generic is a pod of the package pool: it has the agent and waits to be told what to
// run.
func (s specOf) generic(size int) *corev1.Pod {
	p := s.pod(s.pods.Namespace, "ready-", s.pods.Sizes[size].Resources)
	p.Labels[LabelSize] = strconv.Itoa(size)
	return p
}

// pod is what all pods have in common: nothing of the cluster's is in it, it may not
// gain rights, and its root is read-only (Pod Security "restricted").
func (s specOf) pod(namespace, name string, size spillway.Resources) *corev1.Pod {
	need := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(size.MilliCPU+overheadMilliCPU, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity((size.MiB+overheadMiB)<<20, resource.BinarySI),
	}
	limit := corev1.ResourceList{corev1.ResourceMemory: need[corev1.ResourceMemory]}
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: name, Labels: map[string]string{
			LabelPool: s.pool, LabelOwner: s.owner, "app.kubernetes.io/managed-by": "spillway",
		}},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			AutomountServiceAccountToken:  new(false),
			EnableServiceLinks:            new(false),
			TerminationGracePeriodSeconds: new(int64(drainSeconds)),
			NodeSelector:                  s.pods.NodeSelector,
			Affinity:                      realNodes(),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(int64(agentUser)), RunAsGroup: new(int64(agentUser)), FSGroup: new(int64(agentUser)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: container, Image: s.agent, ImagePullPolicy: corev1.PullIfNotPresent,
				Command: []string{"/spillway-agent", "serve", "--dir", workDir},
				Env: []corev1.EnvVar{
					{Name: remote.AuthorityVariable, Value: s.ca},
					{Name: "AWS_REGION", Value: s.region},
				},
				Ports:     []corev1.ContainerPort{{Name: "agent", ContainerPort: remote.Port}},
				Resources: corev1.ResourceRequirements{Requests: need, Limits: limit},
				ReadinessProbe: &corev1.Probe{
					ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(remote.Port)}},
					PeriodSeconds: 10,
				},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
				VolumeMounts: []corev1.VolumeMount{{Name: workVolume, MountPath: workDir}, {Name: tmpVolume, MountPath: "/tmp"}},
			}},
			Volumes: []corev1.Volume{emptyDir(workVolume), emptyDir(tmpVolume)},
		},
	}
	if s.pods.RuntimeClassName != "" {
		p.Spec.RuntimeClassName = new(s.pods.RuntimeClassName)
	}
	return p
}

// mostWritten bounds what a function writes to each of its volumes; a package has at
// most half of it.
var mostWritten = resource.MustParse("1Gi")

func emptyDir(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &mostWritten}}}
}

// realNodes keeps pods off nodes that are no machines. A toleration that somebody's
// webhook adds does not change that.
func realNodes() *corev1.Affinity {
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
			{Key: virtual, Operator: corev1.NodeSelectorOpNotIn, Values: []string{"virtual-kubelet"}},
		}}},
	}}}
}

func instanceLabel(id spillway.InstanceID) string { return strconv.FormatUint(uint64(id), 10) }
