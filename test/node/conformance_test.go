package node

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway/internal/kubetest"
)

// atOnce is how many rows of the matrix are tried at once.
const atOnce = "14"

var update = flag.Bool("update", false, "write docs/offline-support.md")

func TestMain(m *testing.M) {
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.parallel" })
	if !set {
		_ = flag.Set("test.parallel", atOnce) // pods mostly wait
	}
	os.Exit(m.Run())
}

// row is one of the support matrix, and the test that it is true.
type row struct {
	feature, note string // Markdown
	run           func(*testing.T, *world)
}

// topic is a table of the matrix.
type topic struct {
	title, head string
	rows        []row
}

func matrix() []topic {
	return []topic{
		{"Containers", "", containerRows()}, {"Environment", "", environmentRows()}, {"Volumes", "", volumeRows()},
		{"Probes, hooks and the end of pods", "", lifeRows()}, {"kubectl", "", kubectlRows()}, {"Jobs", "", jobRows()},
		{"Refused at once", refusedHead, refusedRows()},
	}
}

const refusedHead = "The pod is `Failed` with the reason, and an event of that name says what to do. Not in the\n" +
	"table, since they are tested on pods alone: `ManualSelector`, a Job with `manualSelector`;\n" +
	"`PodAffinity`, which requires to be near pods like itself; `PodAntiAffinity` and\n" +
	"`TopologySpread`, which require something by labels that a Job sets."

// TestConformance runs virtual-kubelet's own suite, and every row of the support matrix
// as a real pod or Job on the virtual node of one cluster.
func TestConformance(t *testing.T) {
	w := newWorld(t)
	w.flags = append(w.flags, "--anonymous-auth") // what the suite of virtual-kubelet asks is asked without credentials
	w.serve()
	w.approve()
	w.tool = filepath.Join(kubetest.Assets(t), "kubectl")
	try := func(name string, run func(*testing.T, *world)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			of := *w
			of.t = t
			run(t, &of)
		})
	}
	try("virtual-kubelet", suite)
	for _, topic := range matrix() {
		for _, r := range topic.rows {
			try(topic.title+"/"+r.feature, r.run)
		}
	}
}

const matrixFile = "../../docs/offline-support.md"

// TestMatrix: docs/offline-support.md is what TestConformance tests; -update writes it.
func TestMatrix(t *testing.T) {
	if *update {
		must(t, os.WriteFile(matrixFile, []byte(document()), 0o644)) //nolint:gosec // a document
	}
	got, err := os.ReadFile(matrixFile)
	must(t, err)
	if string(got) != document() {
		t.Errorf("%s is not what is tested: write it with 'go test ./test/node -run TestMatrix -update'", matrixFile)
	}
	seen := map[string]bool{}
	for _, topic := range matrix() {
		for _, r := range topic.rows {
			if seen[r.feature] || r.feature == "" || r.run == nil {
				t.Errorf("row %q is there twice, or has no test", r.feature)
			}
			seen[r.feature] = true
		}
	}
}

func document() string {
	var b strings.Builder
	b.WriteString(`# What works on idle capacity

<!-- Written by the tests in test/node: go test ./test/node -run TestMatrix -update -->

Pods on the virtual node ` + "`spillway-offline`" + ` are run by real kubelets, as guest pods on real
nodes. Each line of these tables is a test of that name on a real cluster, with its own
scheduler, controllers and kubelet (` + "`make test-cluster`" + `, ` + "`TestConformance`" + `); all tests of
virtual-kubelet's own end-to-end suite pass there too. How guests differ from their pods is
in [offline-capacity.md](offline-capacity.md).
`)
	for _, topic := range matrix() {
		b.WriteString("\n## " + topic.title + "\n\n")
		if topic.head != "" {
			b.WriteString(topic.head + "\n\n")
		}
		b.WriteString("| What | How |\n| --- | --- |\n")
		for _, r := range topic.rows {
			b.WriteString("| " + r.feature + " | " + strings.ReplaceAll(r.note, "|", `\|`) + " |\n")
		}
	}
	b.WriteString(`
## Not there

| What | Why |
| --- | --- |
` + "| Ephemeral containers (`kubectl debug`) | they are not passed on to guests; `kubectl debug` the guest instead |\n" +
		"| Changes of a pod that runs: its image, resources, labels | its next guest has them; no kubelet is told of a time limit that is set or shortened: its guest is deleted 30 s and its grace after that |\n" +
		"| `spec.nodeName`, `status.hostIP` in a container | are those of the real node |\n" +
		"| A token's bound pod | is the guest: the token says so, and ends with the guest; its user is the pod's |\n" + `
Events about optional Secrets and ConfigMaps that are not there are written only where the
node's account may ` + "`get`" + ` them, which the manifests do not grant; pods run the same.
`)
	return b.String()
}
