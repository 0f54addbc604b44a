// Package manifests tests what is in manifests: that the chart and the overlays are the
// same, that a real API server takes every object without a warning where Pod Security is
// restricted, and that nobody may do more than was meant.
package manifests

import (
	"log/slog"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))) // Helm names each link
	os.Exit(m.Run())
}
