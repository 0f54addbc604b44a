package main

import (
	"os"
	"testing"
)

// TestPageIsCurrent fails when a comment was changed and the page was not.
func TestPageIsCurrent(t *testing.T) {
	want, err := reference("../../../api/v1alpha1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../../docs/reference/configuration.md")
	if err != nil || string(got) != want {
		t.Errorf("docs/reference/configuration.md is out of date (%v): go generate ./config", err)
	}
}
