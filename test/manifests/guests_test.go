package manifests

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// guestOf is a pod as the virtual node makes them.
func guestOf(v *corev1.Pod) *corev1.Pod {
	g := instance(v.Namespace, v.Name+"-guest")
	g.Labels = map[string]string{"spillway.dev/guest-of": string(v.UID), "spillway.dev/guest-node": "spillway-offline"}
	g.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: v.Name, UID: v.UID, Controller: new(false)}}
	g.Spec.PriorityClassName = "spillway-guest"
	g.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{away(), away()}}}}
	return g
}

// idleInstance is a pod as the dispatcher makes them for functions of class offline.
func idleInstance() *corev1.Pod {
	p := instance("shop", "night")
	p.Labels["spillway.dev/offline-instance"], p.Labels["spillway.dev/owner"] = "idle", "this-run"
	p.Spec.PriorityClassName = "spillway-guest"
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{away()}}}}
	return p
}

// idleInstances: the dispatcher makes them, and the virtual node ends them.
func (s *server) idleInstances(t *testing.T, refused func(error) bool) {
	node, dispatcher := s.as(t, nodeAccount), s.as(t, dispatcherAccount)
	for name, change := range map[string]func(*corev1.Pod){
		"without its mark": func(p *corev1.Pod) { delete(p.Labels, "spillway.dev/offline-instance") },
		"as a guest":       func(p *corev1.Pod) { p.Labels["spillway.dev/guest-of"] = "another" },
		"that may loop":    func(p *corev1.Pod) { p.Spec.Affinity = nil },
		"in the system":    func(p *corev1.Pod) { p.Namespace = "spillway-pool" },
	} {
		p := idleInstance()
		change(p)
		if err := dispatcher.Create(t.Context(), p, client.DryRunAll); !refused(err) {
			t.Errorf("the dispatcher makes an instance on idle capacity %s: %v", name, err)
		}
	}
	for who, by := range map[string]client.Client{"the administrator": s.Client, "the node": node} {
		if err := by.Create(t.Context(), idleInstance(), client.DryRunAll); !refused(err) {
			t.Errorf("%s makes an instance on idle capacity: %v", who, err)
		}
	}
	p := idleInstance()
	if err := dispatcher.Create(t.Context(), p); err != nil {
		t.Fatalf("an instance on idle capacity: %v", err)
	}
	for label, value := range map[string]string{"offline-instance": `null`, "owner": `"another"`, "pool": `null`, "retry": `"idempotent"`, "guest-node": `"spillway-offline"`} {
		if err := s.relabel(t, p, "spillway.dev/"+label, value); !refused(err) {
			t.Errorf("an instance on idle capacity has %s for its label %s: %v", value, label, err)
		}
	}
	s.lives(t, p)
	if err := node.Delete(t.Context(), p, client.GracePeriodSeconds(0)); err != nil {
		t.Errorf("the node takes its room back: %v", err)
	}
	online := instance("shop", "marked")
	online.Labels["spillway.dev/offline-instance"] = "idle"
	if err := s.Create(t.Context(), online); err != nil {
		t.Fatal(err)
	}
	if err := node.Delete(t.Context(), online); !refused(err) {
		t.Errorf("the node deletes a pod that only says that it runs on idle capacity: %v", err)
	}
	if err := s.Delete(t.Context(), online, client.GracePeriodSeconds(0)); err != nil {
		t.Error(err)
	}
}

// relabel writes one label of a pod as JSON, as whoever may edit in its namespace does.
func (s *server) relabel(t *testing.T, p *corev1.Pod, label, value string) error {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%s}}}`, label, value)
	return s.Patch(t.Context(), p.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
}

// lives does to a pod on idle capacity what everybody may: a label of its owner's, what the
// garbage collector writes, its binding, and what its kubelet says.
func (s *server) lives(t *testing.T, p *corev1.Pod) {
	t.Helper()
	if err := s.relabel(t, p, "own", `"x"`); err != nil {
		t.Errorf("another label of pod %s: %v", p.Name, err)
	}
	orphan := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"ownerReferences":null}}`))
	if err := s.Patch(t.Context(), p.DeepCopy(), orphan, client.DryRunAll); err != nil {
		t.Errorf("pod %s loses its owner: %v", p.Name, err)
	}
	bound := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: "a"}}
	if err := s.SubResource("binding").Create(t.Context(), p.DeepCopy(), bound, client.DryRunAll); err != nil {
		t.Errorf("pod %s is bound: %v", p.Name, err)
	}
	runs := client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Running"}}`))
	if err := s.Status().Patch(t.Context(), p.DeepCopy(), runs, client.DryRunAll); err != nil {
		t.Errorf("pod %s runs: %v", p.Name, err)
	}
}

func away() corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "type", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"virtual-kubelet"}}}}
}

// guests sees what the admission policies leave of the right to make and delete pods
// everywhere, and that nobody else passes for a guest.
func (s *server) guests(t *testing.T) {
	node := s.as(t, nodeAccount)
	refused := func(err error) bool { return err != nil && strings.Contains(err.Error(), "spillway-guests") }
	v := instance("shop", "virtual")
	v.Labels, v.Spec.PriorityClassName, v.Spec.NodeName = nil, "", "spillway-offline"
	if err := s.Create(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the admission policy is in force", func() bool { return refused(s.Create(t.Context(), guestOf(v), client.DryRunAll)) })

	for name, change := range map[string]func(*corev1.Pod){
		"no guest":           func(g *corev1.Pod) { g.Labels, g.Spec.PriorityClassName = nil, "" },
		"of another class":   func(g *corev1.Pod) { g.Spec.PriorityClassName = "spillway-instance" },
		"without a label":    func(g *corev1.Pod) { g.Labels = nil },
		"without an owner":   func(g *corev1.Pod) { g.OwnerReferences = nil },
		"of another owner":   func(g *corev1.Pod) { g.OwnerReferences[0].UID = "another" },
		"that is controlled": func(g *corev1.Pod) { g.OwnerReferences[0].Controller = new(true) },
		"that may loop":      func(g *corev1.Pod) { g.Spec.Affinity = nil },
		"that may loop by a term": func(g *corev1.Pod) {
			g.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[1].MatchExpressions[0].Key = "other"
		},
		"in the system": func(g *corev1.Pod) { g.Namespace = "spillway-pool" },
		"in Kubernetes": func(g *corev1.Pod) { g.Namespace = "kube-system" },
	} {
		g := guestOf(v)
		change(g)
		if err := node.Create(t.Context(), g, client.DryRunAll); !refused(err) {
			t.Errorf("the node makes a pod %s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*corev1.Pod){
		"the label":    func(p *corev1.Pod) { p.Spec.PriorityClassName = "" },
		"the priority": func(p *corev1.Pod) { p.Labels = nil },
	} {
		p := guestOf(v)
		change(p)
		for who, by := range map[string]client.Client{"the administrator": s.Client, "the dispatcher": s.as(t, dispatcherAccount)} {
			if err := by.Create(t.Context(), p, client.DryRunAll); err == nil || who == "the administrator" && !refused(err) {
				t.Errorf("%s makes a pod with %s of guests: %v", who, name, err)
			}
		}
	}
	s.idleInstances(t, refused)
	g := guestOf(v)
	if err := node.Create(t.Context(), g); err != nil {
		t.Fatalf("a guest: %v", err)
	}
	other := instance("shop", "bystander")
	if err := s.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*corev1.Pod{g, other} {
		if err := s.relabel(t, p, "spillway.dev/guest-of", `"another"`); !refused(err) {
			t.Errorf("pod %s becomes the guest of another: %v", p.Name, err)
		}
	}
	if err := s.relabel(t, g, "spillway.dev/guest-node", `null`); !refused(err) {
		t.Errorf("a guest becomes online work: %v", err)
	}
	s.lives(t, g)
	if err := s.relabel(t, other, "spillway.dev/retry", `"idempotent"`); err != nil {
		t.Errorf("a label that means something on idle capacity only: %v", err)
	}
	for p, allowed := range map[*corev1.Pod]bool{v: true, other: false} {
		now := p.DeepCopy()
		now.Status.Message = "from the node"
		if err := node.Status().Update(t.Context(), now); allowed && err != nil || !allowed && !refused(err) {
			t.Errorf("the status of %s: %v", p.Name, err)
		}
	}
	if err := node.Delete(t.Context(), other); !refused(err) {
		t.Errorf("the node deletes the pod of somebody else: %v", err)
	}
	for _, p := range []*corev1.Pod{g, v} {
		if err := node.Delete(t.Context(), p, client.GracePeriodSeconds(0)); err != nil {
			t.Errorf("the end of %s: %v", p.Name, err)
		}
	}
	if err := s.Delete(t.Context(), other); err != nil {
		t.Error(err)
	}
}
