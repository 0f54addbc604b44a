package guest_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway/provider/guest"
)

func wants(key string, operator corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{Key: key, Operator: operator, Values: values}
}

func TestOnlyRealNodes(t *testing.T) {
	away := wants("type", corev1.NodeSelectorOpNotIn, "virtual-kubelet")
	type terms = []corev1.NodeSelectorTerm
	type asked = []corev1.NodeSelectorRequirement
	for _, row := range []struct {
		name        string
		terms, want terms
	}{
		{"nothing asked", nil, terms{{MatchExpressions: asked{away}}}},
		{"only the virtual node", terms{{MatchExpressions: asked{wants("type", corev1.NodeSelectorOpIn, "virtual-kubelet")}}}, terms{{MatchExpressions: asked{away}}}},
		{"the virtual node and an architecture", terms{{MatchExpressions: asked{wants("spillway.dev/offline", corev1.NodeSelectorOpExists), wants("kubernetes.io/arch", corev1.NodeSelectorOpIn, "amd64")}}},
			terms{{MatchExpressions: asked{wants("kubernetes.io/arch", corev1.NodeSelectorOpIn, "amd64"), away}}}},
		{"the virtual node or another", terms{{MatchExpressions: asked{wants("kubernetes.io/hostname", corev1.NodeSelectorOpIn, node, "big-1")}}},
			terms{{MatchExpressions: asked{wants("kubernetes.io/hostname", corev1.NodeSelectorOpIn, "big-1"), away}}}},
		{"one term of each", terms{{MatchFields: asked{wants("metadata.name", corev1.NodeSelectorOpIn, node)}}, {MatchExpressions: asked{wants("zone", corev1.NodeSelectorOpIn, "a")}}},
			terms{{MatchExpressions: asked{away}}, {MatchExpressions: asked{wants("zone", corev1.NodeSelectorOpIn, "a"), away}}}},
		{"a term that matches nothing stays so", terms{{}, {MatchExpressions: asked{wants("zone", corev1.NodeSelectorOpIn, "a")}}}, terms{{MatchExpressions: asked{wants("zone", corev1.NodeSelectorOpIn, "a"), away}}}},
		{"what leads away stays", terms{{MatchExpressions: asked{wants("type", corev1.NodeSelectorOpNotIn, "gpu")}}}, terms{{MatchExpressions: asked{wants("type", corev1.NodeSelectorOpNotIn, "gpu"), away}}}},
	} {
		v := job()
		if row.terms != nil {
			v.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: row.terms},
				PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{
					{Weight: 1, Preference: corev1.NodeSelectorTerm{MatchExpressions: asked{wants("type", corev1.NodeSelectorOpIn, "virtual-kubelet")}}},
					{Weight: 2, Preference: corev1.NodeSelectorTerm{MatchExpressions: asked{wants("zone", corev1.NodeSelectorOpIn, "a")}}},
				}}}
		}
		nodes := of(t, v, 1, guest.Earlier{}).Spec.Affinity.NodeAffinity
		if got := nodes.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms; !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
		}
		if preferred := nodes.PreferredDuringSchedulingIgnoredDuringExecution; row.terms != nil && (len(preferred) != 1 || preferred[0].Weight != 2) {
			t.Errorf("%s: preferred %+v", row.name, preferred)
		}
	}
}

func TestRefusals(t *testing.T) {
	support, err := os.ReadFile("../../docs/offline-support.md")
	if err != nil {
		t.Fatal(err)
	}
	yes := true
	like := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "etl"}}
	byJob := &metav1.LabelSelector{MatchLabels: map[string]string{"batch.kubernetes.io/job-name": "etl"}}
	for _, row := range []struct {
		field, reason string
		change        func(*corev1.Pod)
	}{
		{"spec.hostNetwork", "HostNamespace", func(v *corev1.Pod) { v.Spec.HostNetwork = true }},
		{"spec.hostPID", "HostNamespace", func(v *corev1.Pod) { v.Spec.HostPID = true }},
		{"spec.hostIPC", "HostNamespace", func(v *corev1.Pod) { v.Spec.HostIPC = true }},
		{"spec.containers[0].ports[1].hostPort", "HostPort", func(v *corev1.Pod) {
			v.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 1}, {ContainerPort: 2, HostPort: 2}}
		}},
		{"spec.resourceClaims", "ResourceClaims", func(v *corev1.Pod) { v.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu"}} }},
		{"spec.volumes[0].hostPath", "HostPath", volume(corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}})},
		{"spec.volumes[0].csi", "EphemeralVolume", volume(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "d"}})},
		{"spec.volumes[0].ephemeral", "EphemeralVolume", volume(corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{}})},
		{"spec.volumes[0].downwardAPI.items[0]", "DownwardAPI", volume(corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: file("metadata.uid")}})},
		{"spec.volumes[0].downwardAPI.items[0]", "DownwardAPI", volume(corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: file("metadata.labels")}})},
		{"spec.volumes[0].projected.sources[0].downwardAPI.items[0]", "DownwardAPI", volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{DownwardAPI: &corev1.DownwardAPIProjection{Items: file("metadata.labels['job-name']")}}}}})},
		{"metadata.ownerReferences", "OwnerDaemonSet", func(v *corev1.Pod) {
			v.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "d", Controller: &yes}}
		}},
		{"metadata.labels", "ManualSelector", func(v *corev1.Pod) { v.Labels = map[string]string{"app": "etl"} }},
		{"spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]", "PodAffinity", func(v *corev1.Pod) {
			v.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{LabelSelector: like}}}}
		}},
		{"spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]", "PodAntiAffinity", func(v *corev1.Pod) {
			v.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{LabelSelector: byJob}}}}
		}},
		{"spec.topologySpreadConstraints[0]", "TopologySpread", func(v *corev1.Pod) {
			v.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: byJob}}
		}},
		{"metadata.annotations[spillway.dev/deadline]", "UnreadableDeadline", annotated("spillway.dev/deadline", "tomorrow")},
		{"metadata.annotations[spillway.dev/max-wait]", "UnreadableMaxWait", annotated("spillway.dev/max-wait", "-5m")},
		{"metadata.annotations[spillway.dev/burst-function]", "UnreadableBurstFunction", annotated("spillway.dev/burst-function", "other/fn")},
	} {
		v := job()
		row.change(v)
		refused := guest.Check(v)
		if len(refused) != 1 || refused[0].Field != row.field || refused[0].Reason != row.reason || refused[0].Text == "" {
			t.Errorf("%s %s: %+v", row.field, row.reason, refused)
		}
		if _, err := guest.Of(v, guest.Config{Node: node, Attempt: 1, Now: start}); err == nil || !strings.Contains(err.Error(), row.field) {
			t.Errorf("%s: Of says %v", row.field, err)
		}
		if !strings.Contains(string(support), "`"+row.reason+"`") && !strings.HasPrefix(row.reason, "Unreadable") { // one stands there for these
			t.Errorf("docs/offline-support.md does not say %s", row.reason)
		}
	}
	v := job()
	v.Spec.HostPID = true
	volume(corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}})(v)
	annotated("spillway.dev/deadline", "")(v)
	if refused := guest.Check(v); len(refused) != 3 {
		t.Errorf("all at once: %+v", refused)
	}
}

// TestDaemonSetIsToldTheCure: DaemonSets that tolerate everything come to the virtual node
// again and again, and nothing but their own affinity keeps them away.
func TestDaemonSetIsToldTheCure(t *testing.T) {
	yes := true
	of := func(kind string) string {
		v := job()
		v.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: "d", Controller: &yes}}
		return guest.Check(v).Error()
	}
	const cure = "type NotIn [virtual-kubelet]"
	if said := of("DaemonSet"); !strings.Contains(said, cure) {
		t.Errorf("said: %s", said)
	}
	if said := of("ReplicaSet"); strings.Contains(said, cure) {
		t.Errorf("said of what comes to no node by itself: %s", said)
	}
}

func volume(source corev1.VolumeSource) func(*corev1.Pod) {
	return func(v *corev1.Pod) { v.Spec.Volumes = []corev1.Volume{{Name: "x", VolumeSource: source}} }
}

func file(path string) []corev1.DownwardAPIVolumeFile {
	return []corev1.DownwardAPIVolumeFile{{Path: "f", FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}

func annotated(key, value string) func(*corev1.Pod) {
	return func(v *corev1.Pod) { v.Annotations[key] = value }
}

func TestAllowed(t *testing.T) {
	for _, change := range []func(*corev1.Pod){
		func(v *corev1.Pod) { v.OwnerReferences = nil },
		volume(corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}),
		volume(corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: file("metadata.annotations")}}),
		volume(corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: file("metadata.labels['app']")}}),
		annotated("spillway.dev/deadline", "2026-03-02T05:30:00+08:00"), annotated("spillway.dev/max-wait", "90m"), annotated("spillway.dev/burst-function", "etl"),
	} {
		v := job()
		change(v)
		if refused := guest.Check(v); len(refused) > 0 {
			t.Errorf("refused: %v", refused)
		}
	}
}

func TestNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z0-9]([-a-z0-9]{0,80}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?){0,3}`).Draw(t, "name")
		uid := types.UID(rapid.StringMatching(`[0-9a-f]{8}`).Draw(t, "uid"))
		attempt := rapid.IntRange(1, 9999).Draw(t, "attempt")
		got := guest.Name(name, uid, attempt)
		if problems := validation.IsDNS1123Label(got); len(problems) > 0 {
			t.Fatalf("%q: %v", got, problems)
		}
		if got != guest.Name(name, uid, attempt) || got == guest.Name(name, uid, attempt+1) || got == guest.Name(name, uid+"x", attempt) {
			t.Fatalf("%q", got)
		}
	})
}

func FuzzTerms(f *testing.F) {
	f.Add("2026-03-02T05:30:00+08:00", "90m", "etl")
	f.Add("", "-1s", "-")
	f.Add("tomorrow", "soon", "No Such")
	f.Fuzz(func(t *testing.T, deadline, wait, burst string) {
		v := job()
		annotated(guest.AnnotationDeadline, deadline)(v)
		annotated(guest.AnnotationMaxWait, wait)(v)
		annotated(guest.AnnotationBurst, burst)(v)
		terms, refused := guest.TermsOf(v)
		unread := func(reason string) bool {
			return slices.ContainsFunc(refused, func(r guest.Refusal) bool { return r.Reason == reason })
		}
		if unread("UnreadableMaxWait") && terms.MaxWait != nil || unread("UnreadableDeadline") && !terms.Deadline.IsZero() || unread("UnreadableBurstFunction") && terms.Burst != "" {
			t.Errorf("what cannot be read counts: %+v", terms)
		}
		if len(refused) == 0 && (terms.Deadline.IsZero() && deadline[:4] != "0001" || *terms.MaxWait < 0 || len(validation.IsDNS1123Label(terms.Burst)) > 0) {
			t.Errorf("%+v", terms)
		}
		if len(refused) > 0 && len(refused.Error()) > 1500 {
			t.Errorf("an error of %d bytes", len(refused.Error()))
		}
	})
}

func FuzzEarlier(f *testing.F) {
	f.Add(`{"restarts":{"main":3},"started":"2026-03-01T22:00:00Z"}`)
	f.Add(`{"restarts":{"main":-3}}`)
	f.Fuzz(func(t *testing.T, note string) {
		g := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{guest.AnnotationEarlier: note}}}
		e, err := guest.EarlierOf(g)
		for name, n := range e.Restarts {
			if err != nil || n < 0 {
				t.Errorf("%s: %d, %v", name, n, err)
			}
		}
	})
}
