// Package node is the virtual node: virtual-kubelet's node and pod controllers on one
// side, the cluster's real nodes and the dispatcher on the other. What happens to a pod
// is decided in package course, how much there is to promise in package idle; this is
// the shell that carries both out.
package node
