package kubetest

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// playedNode is a Node object that kwok takes for one of its own.
const playedNode = `
{apiVersion: v1, kind: Node, metadata: {name: %[1]s, labels: {kubernetes.io/hostname: %[1]s, kubernetes.io/os: linux, type: kwok}, annotations: {kwok.x-k8s.io/node: fake}},
  status: {capacity: &all {cpu: "%[2]d", memory: 64Gi, pods: "110", ephemeral-storage: 100Gi}, allocatable: *all}}
---`

// Kwok is a command that plays nodes to the API server of a kubeconfig, until it is
// killed: for tests that need no more than that and Assets.
func Kwok(t testing.TB, kubeconfig string) *exec.Cmd {
	t.Helper()
	Need(t)
	command, err := build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	play := exec.CommandContext(t.Context(), command, "kwok", kubeconfig)
	if play.Dir, err = source(t.Context()); err != nil {
		t.Fatal(err)
	}
	return play
}

// Played are Node objects that kwok plays, of so many cores and 110 pods each, as YAML.
func Played(cores int, names ...string) string {
	var objects strings.Builder
	for _, name := range names {
		fmt.Fprintf(&objects, playedNode, name, cores)
	}
	return objects.String()
}

// Nodes adds nodes that nobody runs, of so many cores and 110 pods each, and waits until
// they are ready. kwok plays them and the pods on them, as test/cluster/kwok/stages.yaml
// says: no container runs, and a pod succeeds after the time in its annotation
// kwok.x-k8s.io/runs-for. kwok is started by this, and built if this machine has it not.
func (c *Cluster) Nodes(ctx context.Context, cores int, names ...string) error {
	if err := c.Start(ctx, "kwok"); err != nil {
		return err
	}
	wait := []string{"wait", "--for=condition=Ready", "--timeout=5m"}
	for _, name := range names {
		wait = append(wait, "node/"+name)
	}
	if err := c.Apply(ctx, Played(cores, names...)); err != nil {
		return err
	}
	_, err := c.Kubectl(ctx, wait...)
	return err
}
