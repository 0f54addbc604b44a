package node

import (
	"runtime"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What marks the node and what is bound to it.
const (
	OfflineTaint    = "spillway.dev/offline"    // keeps away pods that did not opt in
	ReclaimingTaint = "spillway.dev/reclaiming" // keeps away all pods while the node shrinks
	OfflineLabel    = "spillway.dev/offline"    // of the node: what opted-in pods may select
	ProviderScheme  = "spillway://"             // of the node's providerID
)

// Identity is what the node's object says of itself and never changes in its life.
type Identity struct {
	Name    string
	Address string // IP at which the API server reaches the kubelet API
	Port    int32  // of it
	Version string // kubelet version: the API server's, whose skew rules then hold
}

// Room is what the node promises.
type Room struct {
	Capacity    corev1.ResourceList // of the eligible real nodes together
	Allocatable corev1.ResourceList // of it, what guests may have
	Reclaiming  bool                // it is about to become less
	Message     string              // of the Ready condition, for people
}

// object is the node as it is registered.
func (id Identity) object(room Room, now time.Time) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: id.Name,
			Labels: map[string]string{
				"type": "virtual-kubelet", OfflineLabel: "true",
				corev1.LabelOSStable: "linux", corev1.LabelArchStable: runtime.GOARCH, corev1.LabelHostname: id.Name,
				corev1.LabelNodeExcludeBalancers: "true",
			},
			Annotations: map[string]string{},
		},
		Spec: corev1.NodeSpec{
			ProviderID: ProviderScheme + id.Name,
			Taints:     []corev1.Taint{{Key: OfflineTaint, Value: "true", Effect: corev1.TaintEffectNoSchedule}},
		},
	}
	n.Status = id.status(room, nil, now)
	return n
}

// status is the node's status; conditions that before has too and that say the same
// keep the time at which they began to.
func (id Identity) status(room Room, before []corev1.NodeCondition, now time.Time) corev1.NodeStatus {
	return corev1.NodeStatus{
		Capacity: room.Capacity, Allocatable: room.Allocatable,
		Conditions: conditions(room, before, now),
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: id.Address}, {Type: corev1.NodeHostName, Address: id.Name},
		},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: id.Port}},
		NodeInfo: corev1.NodeSystemInfo{
			KubeletVersion: id.Version, OperatingSystem: "linux", Architecture: runtime.GOARCH,
			OSImage: "spillway", ContainerRuntimeVersion: "spillway://guest-pods",
		},
	}
}

func conditions(room Room, before []corev1.NodeCondition, now time.Time) []corev1.NodeCondition {
	at := metav1.NewTime(now)
	out := []corev1.NodeCondition{
		{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "SpillwayReady", Message: room.Message},
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse, Reason: "GuestsAreOnRealNodes"},
		{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse, Reason: "GuestsAreOnRealNodes"},
		{Type: corev1.NodePIDPressure, Status: corev1.ConditionFalse, Reason: "GuestsAreOnRealNodes"},
		{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionFalse, Reason: "GuestsAreOnRealNodes"},
	}
	for i := range out {
		out[i].LastHeartbeatTime, out[i].LastTransitionTime = at, at
		for _, b := range before {
			if b.Type == out[i].Type && b.Status == out[i].Status {
				out[i].LastTransitionTime = b.LastTransitionTime
			}
		}
	}
	return out
}

// withTaint returns taints with or without that of reclaiming, and whether that is
// another list; the taints of others stay as they are.
func withTaint(taints []corev1.Taint, reclaiming bool, now time.Time) ([]corev1.Taint, bool) {
	var out []corev1.Taint
	had := false
	for _, t := range taints {
		if t.Key == ReclaimingTaint {
			had = true
			if !reclaiming {
				continue
			}
		}
		out = append(out, t)
	}
	if reclaiming && !had {
		at := metav1.NewTime(now)
		out = append(out, corev1.Taint{Key: ReclaimingTaint, Value: "true", Effect: corev1.TaintEffectNoSchedule, TimeAdded: &at})
	}
	return out, had != reclaiming
}

func sameRoom(a, b Room) bool {
	return a.Reclaiming == b.Reclaiming && a.Message == b.Message &&
		equality.Semantic.DeepEqual(a.Capacity, b.Capacity) && equality.Semantic.DeepEqual(a.Allocatable, b.Allocatable)
}
