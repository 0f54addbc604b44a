package cluster

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
)

// TestPublish writes statuses that others write, too, and only when they change.
func TestPublish(t *testing.T) {
	config, admin := server(t)
	quota := &kube.Quota{ObjectMeta: metav1.ObjectMeta{Name: "company"}}
	must(t, admin.Create(t.Context(), quota))
	quota.Status.Projected = []kube.Projection{{To: "ResourceQuota shop/spillway"}}
	must(t, admin.Status().Update(t.Context(), quota))
	p, err := NewPublisher(config)
	must(t, err)
	use := func(n int64) Use {
		return Use{
			Pools:  map[string]PoolUse{"of-a-file": {InUse: &v1alpha1.Capacity{Slots: &n}}},
			Quotas: map[string]QuotaUse{"company": {InUse: v1alpha1.Nominal{OnPrem: &v1alpha1.Capacity{Slots: &n}}}},
		}
	}
	version := func(want int64) string {
		t.Helper()
		must(t, admin.Get(t.Context(), client.ObjectKeyFromObject(quota), quota))
		in := quota.Status.InUse.OnPrem
		if in == nil || *in.Slots != want || len(quota.Status.Projected) != 1 {
			t.Fatalf("status %+v, want %d slots in use", quota.Status, want)
		}
		return quota.ResourceVersion
	}
	must(t, p.Publish(t.Context(), use(3)))
	first := version(3)
	must(t, p.Publish(t.Context(), use(3)))
	if again := version(3); again != first {
		t.Error("the same status was written again")
	}
	must(t, p.Publish(t.Context(), use(0)))
	version(0)
}
