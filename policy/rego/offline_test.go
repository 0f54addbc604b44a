package rego

import (
	"testing"
	"time"
)

// A simulation's answers must not depend on how busy the machine is: here no
// evaluation can begin for longer than a live server waits.
func TestOfflineWaitsForABusyMachine(t *testing.T) {
	s, err := OpenOffline("", platform(1))
	if err != nil {
		t.Fatal(err)
	}
	slots := s.current.Load().slots
	for range cap(slots) {
		slots <- struct{}{}
	}
	free := time.AfterFunc(3*Limit, func() {
		for range cap(slots) {
			<-slots
		}
	})
	defer free.Stop()
	if v := s.Evaluate(t.Context(), saturday, call()); v.Failed != "" {
		t.Errorf("the verdict failed: %s", v.Failed)
	}
}
