package kube

import "github.com/spillway-dev/spillway"

// Overhead is what a pod asks for beside what its function does.
func Overhead() spillway.Resources {
	return spillway.Resources{MilliCPU: overheadMilliCPU, MiB: overheadMiB}
}
