//go:build !linux

package config

import (
	"runtime"

	"github.com/spillway-dev/spillway"
)

// thisMachine returns what a process pool may hold when nobody said: all cores,
// and 2 GiB of a memory whose size is not asked for here.
func thisMachine() spillway.Resources {
	cores := int64(runtime.NumCPU())
	return spillway.Resources{Slots: 4 * cores, MilliCPU: 1000 * cores, MiB: 2048}
}
