package config

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

const (
	maxPodSizes    = 16
	maxSelector    = 64
	defaultPodSpot = "spillway-pool" // namespace of the pods that wait for any package
	maxImageBytes  = 512
)

var (
	imageForm    = regexp.MustCompile(`^[a-z0-9]+([._-]+[a-z0-9]+)*(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?@sha256:[0-9a-f]{64}$`)
	taggedForm   = regexp.MustCompile(`^localhost(/[a-z0-9]+([._-]+[a-z0-9]+)*)+:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	labelKeyForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`)
	labelForms   = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$`)
)

const (
	imageAllowed  = "NAME@sha256: and 64 hex digits"
	taggedAllowed = imageAllowed + ", or localhost/NAME:TAG of the nodes' own store"
)

// onPremKinds are the kinds of pools of instances that are not clouds; cloudKinds are
// clouds.
var (
	onPremKinds = []string{"process", "kubernetes"}
	cloudKinds  = []string{"lambda", "scf"}
)

// onPremNames returns the names of all on-prem pools but offline ones, sorted.
func (l *loading) onPremNames() []string {
	names := append(l.poolNames("process"), l.poolNames("kubernetes")...)
	slices.Sort(names)
	return names
}

func fillKubernetes(s *v1alpha1.PoolSpec) {
	setDefault(&s.Kubernetes, new(v1alpha1.Kubernetes{}))
	setDefault(&s.Kubernetes.Namespace, defaultPodSpot)
	for i := range s.Kubernetes.Sizes {
		setDefault(&s.Kubernetes.Sizes[i].Ready, new(int64(0)))
	}
}

func checkKubernetes(s *source, k *v1alpha1.Kubernetes) {
	const at = "spec.kubernetes"
	s.image(at+".runtimeImage", k.RuntimeImage)
	if !s.faulty(at+".runtimeImage") && tagged(k.RuntimeImage) && !k.AllowTags {
		s.fault(at+".runtimeImage", "is named by tag", imageAllowed+", or allowTags: true beside it")
	}
	s.label(at+".namespace", k.Namespace)
	if k.RuntimeClassName != "" {
		s.label(at+".runtimeClassName", k.RuntimeClassName)
	}
	checkSelector(s, at+".nodeSelector", k.NodeSelector)
	if n := len(k.Sizes); n > maxPodSizes {
		s.fault(at+".sizes", fmt.Sprintf("has %d entries", n), fmt.Sprintf("at most %d", maxPodSizes))
		return
	}
	for i := range k.Sizes {
		checkSize(s, index(at+".sizes", i), k.Sizes, i)
	}
}

func checkSize(s *source, at string, sizes []v1alpha1.PodSize, i int) {
	size := &sizes[i]
	if size.Memory == nil {
		s.fault(at+".memory", "is required", "1Mi to 1Ti")
	}
	if size.CPU == nil {
		s.fault(at+".cpu", "is required", "1m to 1024")
	}
	s.memory(at+".memory", size.Memory, mib, 1<<40)
	s.cpu(at+".cpu", size.CPU, 1, 1024*1000)
	s.count(at+".ready", size.Ready, 0, 1000)
	for j := range i {
		if podResources(&sizes[j]) == podResources(size) {
			s.fault(at, fmt.Sprintf("is as large as spec.kubernetes.sizes[%d]", j), "each size once")
		}
	}
}

func checkSelector(s *source, at string, labels map[string]string) {
	if n := len(labels); n > maxSelector {
		s.fault(at, fmt.Sprintf("has %d entries", n), fmt.Sprintf("at most %d", maxSelector))
		return
	}
	for _, key := range sortedKeys(labels) {
		if !labelKeyForm.MatchString(key) || !labelForms.MatchString(labels[key]) {
			s.fault(join(at, key), quoteShort(key+": "+labels[key])+" is not a label of a node", "a key and value as Kubernetes has them")
		}
	}
}

// image checks a reference; an empty one is missing.
func (s *source) image(at, reference string) {
	switch {
	case reference == "":
		s.fault(at, "is required", taggedAllowed)
	case len(reference) > maxImageBytes || !imageForm.MatchString(reference) && !taggedForm.MatchString(reference):
		s.fault(at, quoteShort(reference)+" is not an image that cannot change", taggedAllowed)
	}
}

// tagged reports whether a reference that was checked has no digest.
func tagged(reference string) bool { return !strings.Contains(reference, "@") }

// checkCode checks where a revision's code comes from.
func (l *loading) checkCode(s *source, at string, r *v1alpha1.Revision) {
	switch {
	case r.Image == "":
		if !filepath.IsLocal(r.Handler) {
			s.fault(at+".handler", quoteShort(r.Handler)+" is not a path inside the package", "such as bootstrap or bin/serve")
		}
		if s.cluster || !l.checks.WithoutCode { // a digest is all that a cluster has
			l.checkPackage(s, at+".package", r)
		}
		return
	case r.Package != v1alpha1.Package{}:
		s.fault(at+".image", "stands beside package", "one of package and image")
	default:
		s.image(at+".image", r.Image)
	}
	if !path.IsAbs(r.Handler) || path.Clean(r.Handler) != r.Handler || r.Handler == "/" {
		s.fault(at+".handler", quoteShort(r.Handler)+" is not an absolute path", "the program in the image, such as /app/serve")
	}
}

// checkImagePools checks that a pool may run every image.
func (l *loading) checkImagePools(e entry[v1alpha1.Function]) {
	for i, r := range e.object.Spec.Revisions {
		at := index("spec.revisions", i) + ".image"
		switch {
		case r.Image == "" || i >= maxRevisions:
		case !slices.ContainsFunc(l.all.pools, func(e entry[v1alpha1.Pool]) bool { return e.object.Spec.Kubernetes != nil }):
			e.fault(at, "there is no pool that runs images", "a package, or a Pool of kind kubernetes")
		case tagged(r.Image) && !l.allowsTags():
			e.fault(at, "is named by tag, and no pool allows that", imageAllowed+", or a kubernetes pool with allowTags: true")
		}
	}
}

func (l *loading) allowsTags() bool {
	return slices.ContainsFunc(l.all.pools, func(e entry[v1alpha1.Pool]) bool {
		return e.object.Spec.Kubernetes != nil && e.object.Spec.Kubernetes.AllowTags
	})
}

func compileKubernetes(k *v1alpha1.Kubernetes) spillway.KubernetesPods {
	pods := spillway.KubernetesPods{RuntimeImage: k.RuntimeImage, Namespace: k.Namespace, NodeSelector: k.NodeSelector,
		RuntimeClassName: k.RuntimeClassName, AllowTags: k.AllowTags}
	for i := range k.Sizes {
		pods.Sizes = append(pods.Sizes, spillway.PodSize{Resources: podResources(&k.Sizes[i]), Ready: int(*k.Sizes[i].Ready)})
	}
	slices.SortFunc(pods.Sizes, func(a, b spillway.PodSize) int {
		return cmp.Or(cmp.Compare(a.MiB, b.MiB), cmp.Compare(a.MilliCPU, b.MilliCPU))
	})
	return pods
}

func podResources(size *v1alpha1.PodSize) spillway.Resources {
	return spillway.Resources{Slots: 1, MilliCPU: int64(orZero(size.CPU)), MiB: int64(orZero(size.Memory)) / mib}
}

// excludedPods says why an on-prem pool cannot run f as pods, or needs no pods.
func excludedPods(f *spillway.Function, pool *spillway.Pool) spillway.Exclusion {
	switch {
	case pool.Kind == spillway.PoolProcess && (f.Image != "" || f.ServiceAccount != ""),
		pool.Kind == spillway.PoolOffline && !makesPods(pool):
		return spillway.ExcludedPods
	case !pool.Kind.Cloud() && f.Image != "" && tagged(f.Image) && !pool.Kubernetes.AllowTags:
		return spillway.ExcludedTag
	}
	return spillway.ExcludedNot
}
