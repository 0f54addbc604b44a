package manifests

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const (
	root  = "../../manifests"
	chart = root + "/helm/spillway"
)

type object = *unstructured.Unstructured

// named says which object it is, in an order in which what others need comes first.
func named(o object) string {
	first := slices.Index([]string{"CustomResourceDefinition", "Namespace"}, o.GetKind())
	if first < 0 {
		first = 9
	}
	return fmt.Sprintf("%d %s %s/%s", first, o.GetKind(), o.GetNamespace(), o.GetName())
}

func sorted(all []object) []object {
	slices.SortFunc(all, func(a, b object) int { return cmp.Compare(named(a), named(b)) })
	return all
}

// parse reads the objects of a stream of YAML.
func parse(t testing.TB, text []byte) []object {
	t.Helper()
	var all []object
	for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		o := object(&unstructured.Unstructured{})
		err := d.Decode(&o.Object)
		switch {
		case err == io.EOF:
			return all
		case err != nil:
			t.Fatal(err)
		case len(o.Object) == 0:
			continue
		case o.GetKind() == "" || o.GetName() == "":
			t.Fatalf("no object: %v", o.Object)
		}
		all = append(all, o)
	}
}

// kustomized are the objects of a directory below manifests.
func kustomized(t testing.TB, dir string) []object {
	t.Helper()
	return sorted(unsorted(t, dir))
}

func unsorted(t testing.TB, dir string) []object {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), path.Join(root, dir))
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

// rendered is what Helm makes of the chart with values.
func rendered(values map[string]any) ([]byte, error) {
	c, err := loader.Load(chart)
	if err != nil {
		return nil, err
	}
	all, err := util.ToRenderValues(c, values, common.ReleaseOptions{Name: "spillway", Namespace: "spillway-system", IsInstall: true}, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	for _, crd := range c.CRDObjects() {
		fmt.Fprintf(&text, "---\n%s\n", crd.File.Data)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&text, "---\n%s\n", files[name])
	}
	return text.Bytes(), nil
}

func helmed(t testing.TB, values map[string]any) []object {
	t.Helper()
	text, err := rendered(values)
	if err != nil {
		t.Fatal(err)
	}
	return sorted(parse(t, text))
}

func text(t testing.TB, o object) string {
	t.Helper()
	o = o.DeepCopy()
	notes := o.GetAnnotations()
	maps.DeleteFunc(notes, func(k, _ string) bool { return strings.HasPrefix(k, "helm.sh/") }) // said to Helm only
	if len(notes) == 0 {
		unstructured.RemoveNestedField(o.Object, "metadata", "annotations")
	}
	b, err := json.MarshalIndent(o.Object, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// byName fails if two are the same object.
func byName(t testing.TB, all []object) map[string]object {
	t.Helper()
	out := map[string]object{}
	for _, o := range all {
		if out[named(o)] != nil {
			t.Errorf("%s is there twice", named(o))
		}
		out[named(o)] = o
	}
	return out
}

// TestSame holds the chart to overlay prod, object by object.
func TestSame(t *testing.T) {
	want, got := byName(t, kustomized(t, "overlays/prod")), byName(t, helmed(t, nil))
	for name := range maps.Keys(got) {
		if want[name] == nil {
			t.Errorf("only the chart has %s", name)
		}
	}
	for name, w := range want {
		g := got[name]
		if g == nil {
			t.Errorf("the chart lacks %s", name)
			continue
		}
		if difference := firstDifference(text(t, w), text(t, g)); difference != "" {
			t.Errorf("%s: %s", name, difference)
		}
	}
	if len(want) < 40 {
		t.Errorf("only %d objects were compared", len(want))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		if i >= len(w) || i >= len(g) || w[i] != g[i] {
			near := max(0, i-4)
			return fmt.Sprintf("the chart differs:\nkustomize\n%s\nchart\n%s", strings.Join(w[near:min(i+3, len(w))], "\n"), strings.Join(g[near:min(i+3, len(g))], "\n"))
		}
	}
	return ""
}

// TestOrder sees that what others need to be there is applied before them.
func TestOrder(t *testing.T) {
	for _, dir := range []string{"overlays/dev", "overlays/prod"} {
		kinds := []string{}
		for _, o := range unsorted(t, dir) {
			kinds = append(kinds, o.GetKind())
		}
		others := slices.IndexFunc(kinds, func(k string) bool { return k != "CustomResourceDefinition" && k != "Namespace" })
		if late := slices.Index(kinds[others:], "Namespace"); late >= 0 {
			t.Errorf("%s: a namespace comes after a %s", dir, kinds[others])
		}
	}
}

// TestCRDs fails when a generated kind is not among what is applied.
func TestCRDs(t *testing.T) {
	files, err := filesys.MakeFsOnDisk().Glob(root + "/base/crds/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d CRDs, %v", len(files), err)
	}
	for _, dir := range []string{"base", "overlays/dev", "overlays/prod"} {
		found := 0
		for _, o := range kustomized(t, dir) {
			if o.GetKind() == "CustomResourceDefinition" {
				found++
			}
		}
		if found != len(files) {
			t.Errorf("%s has %d CRDs of %d", dir, found, len(files))
		}
	}
}

// TestExampleOverlay holds the overlay that people copy to overlay prod: other images, by
// digest, and settings of the server from a ConfigMap.
func TestExampleOverlay(t *testing.T) {
	prod, own := byName(t, kustomized(t, "overlays/prod")), byName(t, kustomized(t, "examples/overlay"))
	if len(own) != len(prod)+1 {
		t.Errorf("%d objects, of which overlay prod has %d", len(own), len(prod))
	}
	for _, name := range []string{dispatcher, operator, node} {
		image, _ := container(t, own[name])["image"].(string)
		if _, digest, _ := strings.Cut(image, "@"); !strings.HasPrefix(image, "registry.example/team/spillway") || len(digest) != len("sha256:")+64 {
			t.Errorf("%s has image %s", name, image)
		}
	}
	was, is := container(t, prod[dispatcher])["args"].([]any), container(t, own[dispatcher])["args"].([]any)
	if !slices.Equal(slices.Delete(slices.Clone(is), 1, 2), was) || is[1] != "--config=/etc/spillway" {
		t.Errorf("the dispatcher is started with %q, in overlay prod with %q", is, was)
	}
	if grace := at(t, own[dispatcher], "spec", "template", "spec", "terminationGracePeriodSeconds"); fmt.Sprint(grace) != "165" {
		t.Errorf("the dispatcher has %v s to end", grace)
	}
	settings := slices.IndexFunc(slices.Collect(maps.Values(own)), func(o object) bool {
		server, _ := at(t, o, "data", "server.yaml").(string)
		return o.GetKind() == "ConfigMap" && strings.Contains(server, "kind: Server")
	})
	if settings < 0 {
		t.Error("there is no ConfigMap with the settings of the server")
	}
}

func at(t testing.TB, o object, fields ...string) any {
	t.Helper()
	if o == nil {
		t.Fatal("there is no such object")
	}
	v, _, err := unstructured.NestedFieldNoCopy(o.Object, fields...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func container(t testing.TB, o object) map[string]any {
	t.Helper()
	all, _ := at(t, o, "spec", "template", "spec", "containers").([]any)
	if len(all) != 1 {
		t.Fatalf("%s has %d containers", named(o), len(all))
	}
	return all[0].(map[string]any)
}

const (
	dispatcher = "9 StatefulSet spillway-system/spillway"
	operator   = "9 Deployment spillway-system/spillway-operator"
	node       = "9 Deployment spillway-system/spillway-node"
)

// TestValues sees that every value of the chart does something.
func TestValues(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	some := func(memory string) map[string]any {
		return map[string]any{"requests": map[string]any{"memory": memory, "cpu": "1"}, "limits": map[string]any{"memory": memory}}
	}
	all := helmed(t, map[string]any{
		"image":            map[string]any{"repository": "registry.example/spillway", "digest": digest},
		"imagePullSecrets": []any{},
		"audience":         "calls.example",
		"monitoring":       false,
		"labels":           map[string]any{"team": "platform", "app.kubernetes.io/name": "other"},
		"dispatcher":       map[string]any{"resources": some("3Gi"), "storage": map[string]any{"size": "7Gi", "className": "fast"}},
		"operator":         map[string]any{"replicas": 3, "resources": some("5Gi")},
		"node":             map[string]any{"replicas": 4, "resources": some("6Gi"), "image": map[string]any{"repository": "registry.example/node", "digest": digest}},
	})
	objects := byName(t, all)
	for _, name := range []string{dispatcher, operator} {
		if got := container(t, objects[name])["image"]; got != "registry.example/spillway@"+digest {
			t.Errorf("%s has image %v", name, got)
		}
		if got := at(t, objects[name], "spec", "template", "spec", "imagePullSecrets"); got != nil {
			t.Errorf("%s has pull secrets %v", name, got)
		}
	}
	if got := container(t, objects[node])["image"]; got != "registry.example/node@"+digest {
		t.Errorf("the node has image %v", got)
	}
	if got := at(t, objects[node], "spec", "template", "spec", "imagePullSecrets"); got != nil {
		t.Errorf("the node has pull secrets %v", got)
	}
	if got := fmt.Sprint(at(t, objects[node], "spec", "template", "spec", "volumes")); !strings.Contains(got, "audience:calls.example") {
		t.Errorf("the node has volumes %s", got)
	}
	if got := fmt.Sprint(at(t, objects[node], "spec", "replicas")); got != "4" {
		t.Errorf("%s nodes", got)
	}
	if args := fmt.Sprint(container(t, objects[dispatcher])["args"]); !strings.Contains(args, "--audience=calls.example ") {
		t.Errorf("args of the dispatcher are %s", args)
	}
	claim := fmt.Sprint(at(t, objects[dispatcher], "spec", "volumeClaimTemplates"))
	if !strings.Contains(claim, "storage:7Gi") || !strings.Contains(claim, "storageClassName:fast") {
		t.Errorf("the claim is %s", claim)
	}
	if got := fmt.Sprint(at(t, objects[operator], "spec", "replicas")); got != "3" {
		t.Errorf("%s operators", got)
	}
	for name, memory := range map[string]string{dispatcher: "3Gi", operator: "5Gi", node: "6Gi"} {
		if got := fmt.Sprint(container(t, objects[name])["resources"]); !strings.Contains(got, memory) {
			t.Errorf("%s has resources %s", name, got)
		}
	}
	for _, o := range all {
		if o.GetAPIVersion() == "monitoring.coreos.com/v1" || o.GetName() == "spillway-dashboard" {
			t.Errorf("%s is there without monitoring", named(o))
		}
		if o.GetKind() == "CustomResourceDefinition" {
			continue
		}
		if l := o.GetLabels(); l["team"] != "platform" {
			t.Errorf("%s has labels %v", named(o), l)
		}
	}
	if l := objects[dispatcher].GetLabels(); l["app.kubernetes.io/name"] != "spillway" {
		t.Errorf("a label of the dispatcher that it is selected by was replaced: %v", l)
	}
}

// TestBadValues sees that what does nothing is refused.
func TestBadValues(t *testing.T) {
	for _, values := range []map[string]any{
		{"replicas": 2},
		{"image": map[string]any{"name": "x"}},
		{"image": map[string]any{"digest": "latest"}},
		{"operator": map[string]any{"replicas": 0}},
		{"node": map[string]any{"replicas": 0}},
		{"node": map[string]any{"image": map[string]any{"digest": "latest"}}},
		{"dispatcher": map[string]any{"replicas": 2}},
		{"monitoring": "yes"},
	} {
		if _, err := rendered(values); err == nil {
			t.Errorf("%v was taken", values)
		}
	}
}
