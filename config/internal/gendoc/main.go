// Command gendoc writes docs/reference/configuration.md from the comments of
// package api/v1alpha1. Run it with `go generate ./config`.
package main

import (
	"log"
	"os"
)

// Paths from the directory of package config, where go generate runs.
const (
	apiDir = "../api/v1alpha1"
	page   = "../docs/reference/configuration.md"
)

func main() {
	text, err := reference(apiDir)
	if err == nil {
		err = os.WriteFile(page, []byte(text), 0o644)
	}
	if err != nil {
		log.Fatalf("gendoc: %v", err)
	}
}
