package main

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
)

// TestRefusedTellsNothingOfOthers: the admin port has all faults, and functions have those
// of objects that concern all.
func TestRefusedTellsNothingOfOthers(t *testing.T) {
	var said reloaded
	said.refused(fmt.Errorf("load: %w", config.Faults{{File: "Function payments/secret", Problem: "has 'a value'"}, {File: "Quota second", Problem: "has no parent"}}))
	f := &kube.Function{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pay", UID: "pay", Generation: 2}}
	served := (&inCluster{}).servedNow([]cluster.Object{f}, said.forAll)["pay"]
	if served.Reason != cluster.ReasonRefused || !strings.Contains(served.Message, "Quota second: has no parent") || strings.Contains(served.Message, "payments") || strings.Contains(served.Message, "value") {
		t.Errorf("%+v", served)
	}
	if !strings.Contains(said.Error, "payments/secret") {
		t.Errorf("the admin port says %q", said.Error)
	}
}
