package operator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	podpool "github.com/spillway-dev/spillway/pools/kube"
)

const (
	// QuotaName is the name of the ResourceQuota in each namespace of the quota tree.
	QuotaName = "spillway"
	// PriorityClass is that of instance pods. Other pods of a namespace do not count.
	PriorityClass = "spillway-instance"
	// QuotaLabel names the Quota that a ResourceQuota was made for.
	QuotaLabel = "spillway.dev/quota"
	// RestoreAnnotation on a Quota, or a Function, has what was changed elsewhere put back
	// once; the operator takes it away then.
	RestoreAnnotation = "spillway.dev/restore"
)

func ours() map[string]string {
	return map[string]string{"app.kubernetes.io/managed-by": FieldManager}
}

// limit is what the pods of one namespace may hold together.
type limit struct {
	namespace string
	quota     string
	want      v1alpha1.Capacity
	hard      corev1.ResourceList
}

func (l *limit) to() string { return quotaAt(l.namespace) }

func quotaAt(namespace string) string { return "ResourceQuota " + namespace + "/" + QuotaName }

// limitOf is what the quota tree's node leaves to a namespace, what may be borrowed
// included; nil if nothing is limited. Pods ask for more than their functions, by what
// their agents need. It depends on the Quota alone: functions come and go without
// changing what is in force.
func limitOf(node *spillway.QuotaNode, namespace string) *limit {
	most := spillway.Resources{}
	for _, at := range []struct{ to, nominal, borrow *int64 }{
		{&most.Slots, &node.Nominal[spillway.ClassOnPrem].Slots, &node.Borrowing[spillway.ClassOnPrem].Slots},
		{&most.MilliCPU, &node.Nominal[spillway.ClassOnPrem].MilliCPU, &node.Borrowing[spillway.ClassOnPrem].MilliCPU},
		{&most.MiB, &node.Nominal[spillway.ClassOnPrem].MiB, &node.Borrowing[spillway.ClassOnPrem].MiB},
	} {
		*at.to = saturated(*at.nominal, *at.borrow)
	}
	l := &limit{namespace: namespace, quota: node.Name, hard: corev1.ResourceList{}}
	pods, extra := podsOf(most), podpool.Overhead()
	if n := most.Slots; n != spillway.Unlimited {
		l.hard[corev1.ResourcePods] = *resource.NewQuantity(n, resource.DecimalSI)
		l.want.Slots = &n
	}
	if n := most.MilliCPU; n != spillway.Unlimited {
		n += pods * extra.MilliCPU
		l.hard[corev1.ResourceRequestsCPU] = *resource.NewMilliQuantity(n, resource.DecimalSI)
		l.want.CPU = new(v1alpha1.MilliCPU(n))
	}
	if n := most.MiB; n != spillway.Unlimited {
		n += pods * extra.MiB
		l.hard[corev1.ResourceRequestsMemory] = *resource.NewQuantity(n<<20, resource.BinarySI)
		l.want.Memory = new(v1alpha1.Bytes(n << 20))
	}
	if len(l.hard) == 0 {
		return nil
	}
	return l
}

// usual is what a function asks for that does not say.
var usual = spillway.Resources{MilliCPU: 100, MiB: 128}

// podsOf is how many pods of the usual size fit what is limited.
func podsOf(most spillway.Resources) int64 {
	pods := most.Slots
	if most.MilliCPU != spillway.Unlimited {
		pods = min(pods, most.MilliCPU/usual.MilliCPU)
	}
	if most.MiB != spillway.Unlimited {
		pods = min(pods, most.MiB/usual.MiB)
	}
	return pods
}

// saturated adds what may be borrowed.
func saturated(nominal, borrow int64) int64 {
	if nominal == spillway.Unlimited || borrow == spillway.Unlimited {
		return spillway.Unlimited
	}
	return nominal + borrow
}

func (l *limit) spec() corev1.ResourceQuotaSpec {
	return corev1.ResourceQuotaSpec{Hard: l.hard, ScopeSelector: &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{
		{ScopeName: corev1.ResourceQuotaScopePriorityClass, Operator: corev1.ScopeSelectorOpIn, Values: []string{PriorityClass}},
	}}}
}

func (l *limit) object() *corev1.ResourceQuota {
	labels := ours()
	labels[QuotaLabel] = l.quota
	return &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: QuotaName, Labels: labels}, Spec: l.spec()}
}

// differences says how what is there differs from what is wanted; nil if not at all.
func (l *limit) differences(is *corev1.ResourceQuota) []string {
	var all []string
	names := map[corev1.ResourceName]bool{}
	for name := range l.hard {
		names[name] = true
	}
	for name := range is.Spec.Hard {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		want, wanted := l.hard[name]
		found, there := is.Spec.Hard[name]
		if wanted == there && want.Cmp(found) == 0 {
			continue
		}
		all = append(all, fmt.Sprintf("%s: %s wanted, %s found", name, orNone(want, wanted), orNone(found, there)))
	}
	if scope := scopeText(is.Spec); scope != scopeText(l.spec()) {
		all = append(all, "scope: "+scopeText(l.spec())+" wanted, "+cmp.Or(scope, "none")+" found")
	}
	return all
}

func orNone(q resource.Quantity, there bool) string {
	if !there {
		return "none"
	}
	return q.String()
}

func scopeText(s corev1.ResourceQuotaSpec) string {
	var all []string
	for _, scope := range s.Scopes {
		all = append(all, string(scope))
	}
	if s.ScopeSelector != nil {
		for _, e := range s.ScopeSelector.MatchExpressions {
			all = append(all, strings.Join([]string{string(e.ScopeName), string(e.Operator), strings.Join(e.Values, ",")}, " "))
		}
	}
	return strings.Join(all, " and ")
}

// found is a ResourceQuota's limits as a status has them.
func found(q *corev1.ResourceQuota) *v1alpha1.Capacity {
	var c v1alpha1.Capacity
	if n, ok := q.Spec.Hard[corev1.ResourcePods]; ok {
		c.Slots = new(n.Value())
	}
	if n, ok := q.Spec.Hard[corev1.ResourceRequestsCPU]; ok {
		c.CPU = new(v1alpha1.MilliCPU(n.MilliValue()))
	}
	if n, ok := q.Spec.Hard[corev1.ResourceRequestsMemory]; ok {
		c.Memory = new(v1alpha1.Bytes(n.Value()))
	}
	return &c
}

// above says what is in use above the limit.
func above(q *corev1.ResourceQuota) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(q.Spec.Hard)) {
		used, ok := q.Status.Used[name]
		if hard := q.Spec.Hard[name]; ok && used.Cmp(hard) > 0 {
			all = append(all, fmt.Sprintf("%s %s in %s, of %s", used.String(), name, q.Namespace, hard.String()))
		}
	}
	return all
}
