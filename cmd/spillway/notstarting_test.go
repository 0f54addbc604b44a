package main

import (
	"maps"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config/cluster"
)

// TestNotStarting follows one function through a bad image and a mended one.
func TestNotStarting(t *testing.T) {
	key := spillway.FunctionKey{Namespace: "shop", Name: "pay"}
	pay := &kube.Function{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pay", UID: "u", Generation: 1}}
	pay.Spec.Revisions = []v1alpha1.Revision{{Name: "v1"}, {Name: "v2"}}
	var was map[types.UID]notStarted
	step := func(why map[string]string, started map[string]int64) string {
		t.Helper()
		was = notStarting([]cluster.Object{pay, &kube.Pool{}}, was, map[spillway.FunctionKey]map[string]string{key: why}, map[spillway.FunctionKey]map[string]int64{key: started})
		served := map[types.UID]cluster.Served{"u": cluster.ServedOf(pay.Generation, nil, true)}
		sayFailing(served, was)
		return served["u"].Reason + " " + served["u"].Message
	}
	if is := step(nil, nil); !strings.HasPrefix(is, "Serving") {
		t.Error(is)
	}
	if is := step(map[string]string{"v2": "no image", "v3": "of another"}, map[string]int64{"v1": 1}); !strings.HasPrefix(is, "StartsFail Revision v2 does not start: no image\nCalls") {
		t.Error(is)
	}
	kept := maps.Clone(was)
	if is := step(nil, nil); !strings.HasPrefix(is, "StartsFail Revision v2") { // which nobody has called since
		t.Error(is)
	}
	if is := step(nil, map[string]int64{"v2": 1}); !strings.HasPrefix(is, "Serving") {
		t.Error(is)
	}
	was, pay.Generation = kept, 2
	if is := step(nil, nil); !strings.HasPrefix(is, "Serving") {
		t.Error(is)
	}
	step(map[string]string{"v1": "ends"}, nil)
	served := map[types.UID]cluster.Served{"u": {Generation: 2, Reason: cluster.ReasonPackageMissing}, "other": cluster.ServedOf(2, nil, true)}
	if sayFailing(served, was); served["u"].Reason != cluster.ReasonPackageMissing || served["other"].Reason != cluster.ReasonServing {
		t.Errorf("what has another fault: %+v", served)
	}
}
