package main

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// TestGrace wants a cluster to leave the time that a stop may take.
func TestGrace(t *testing.T) {
	loaded, err := loadConfig("")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"base/dispatcher.yaml", "helm/spillway/templates/dispatcher.yaml"} {
		text, err := os.ReadFile("../../manifests/" + file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`terminationGracePeriodSeconds: (\d+)\n`).FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s has no grace period", file)
		}
		seconds, _ := strconv.Atoi(string(found[1])) // it is of digits
		if needs := loaded.Server.DrainTimeout + afterDrain; time.Duration(seconds)*time.Second < needs {
			t.Errorf("%s leaves %d s, and a stop may take %s", file, seconds, needs)
		}
	}
}
