package kube

import "github.com/spillway-dev/spillway"

// Overhead is what a pod asks for beside what its function does.
func Overhead() spillway.Resources {
	return spillway.Resources{MilliCPU: overheadMilliCPU, MiB: overheadMiB}
}

// Beside is what the instances that there are hold beside what their functions ask for.
func (p *Pool) Beside() spillway.Resources {
	p.mu.Lock()
	n := int64(len(p.instances))
	p.mu.Unlock()
	return spillway.Resources{MilliCPU: n * overheadMilliCPU, MiB: n * overheadMiB}
}
