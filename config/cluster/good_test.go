package cluster

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config"
)

func kindsWritten() []config.Object {
	pay := function("pay")
	pay.Spec.Timeout, pay.Spec.Env = new(v1alpha1.Duration(3*time.Second)), map[string]string{"QUOTED": "a\"b\nc"}
	pay.Spec.MinWarm = new(int64)
	named := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
	return []config.Object{
		&kube.Pool{ObjectMeta: named("onprem"), Spec: v1alpha1.PoolSpec{Kind: "kubernetes"}},
		&kube.Quota{ObjectMeta: named("company"), Spec: v1alpha1.QuotaSpec{Namespaces: []string{"default"}, Nominal: v1alpha1.Nominal{OnPrem: &v1alpha1.Capacity{Slots: new(int64)}}}},
		&kube.BurstPolicy{ObjectMeta: named("default"), Spec: v1alpha1.BurstPolicySpec{Order: []string{"onprem"}}},
		&kube.PriceBook{ObjectMeta: named("prices")},
		pay,
	}
}

// TestObjects reads what was written as it was, zeros that are written too.
func TestObjects(t *testing.T) {
	var text bytes.Buffer
	must(t, WriteObjects(&text, kindsWritten()))
	got, err := ReadObjects(text.Bytes())
	must(t, err)
	if len(got) != len(kindsWritten()) {
		t.Fatalf("%d objects", len(got))
	}
	for i, o := range kindsWritten() {
		if !reflect.DeepEqual(got[i].Written(), o.Written()) {
			t.Errorf("got %+v, want %+v", got[i].Written(), o.Written())
		}
	}
	for _, bad := range []string{"{", `{"kind":"Server"}`, `{"kind":"Quota","spec":{"namespaces":3}}`} {
		if _, err := ReadObjects([]byte(text.String() + bad)); err == nil {
			t.Errorf("%s is read", bad)
		}
	}
}

// FuzzReadObjects writes what it reads in a form that it reads again.
func FuzzReadObjects(f *testing.F) {
	var text bytes.Buffer
	if err := WriteObjects(&text, kindsWritten()); err != nil {
		f.Fatal(err)
	}
	f.Add(text.String())
	f.Add(`{"kind":"Function","spec":{"timeout":"1h"}} {"kind":"Pool"}`)
	f.Fuzz(func(t *testing.T, text string) {
		objects, err := ReadObjects([]byte(text))
		if err != nil {
			return
		}
		var again strings.Builder
		must(t, WriteObjects(&again, objects))
		same, err := ReadObjects([]byte(again.String()))
		if err != nil || len(same) != len(objects) {
			t.Errorf("%d objects of %d: %v", len(same), len(objects), err)
		}
	})
}
