package config

import (
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml/ast"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

const notYet = "not supported in this version"

// refusedFields names fields that people will look for, by kind, and that this
// version does not have.
var refusedFields = map[string]map[string]string{
	v1alpha1.KindFunction: refuse("spec.revisions[].runtime", "spec.resources.gpu",
		"spec.volumes", "spec.secretRefs", "spec.envFrom", "spec.retries", "spec.pool", "spec.priority"),
	v1alpha1.KindPool:        refuse("spec.labels", "spec.order", "spec.capacity.gpu"),
	v1alpha1.KindQuota:       refuse("spec.nominal.onPrem.gpu", "spec.nominal.cloud.gpu", "spec.nominal.offline.gpu"),
	v1alpha1.KindBurstPolicy: refuse(),
	v1alpha1.KindPriceBook:   refuse("spec.plans[].tiers", "spec.plans[].packages", "spec.plans[].freeTier"),
	v1alpha1.KindServer:      refuse("spec.tls", "spec.auth.oidc", "spec.auth.jwt"),
}

func refuse(paths ...string) map[string]string {
	m := map[string]string{"metadata.labels": notYet, "metadata.annotations": notYet}
	for _, p := range paths {
		m[p] = notYet
	}
	return m
}

// standsAlone are lists of objects that take one object without a list around it.
var standsAlone = map[string]bool{"spec.maxBurstSpend": true}

var kindNames = []string{v1alpha1.KindFunction, v1alpha1.KindPool, v1alpha1.KindQuota, v1alpha1.KindBurstPolicy,
	v1alpha1.KindPriceBook, v1alpha1.KindServer}

// document decodes one document into all. Empty documents are nothing.
func (l *loading) document(doc *ast.DocumentNode, file string) {
	s := &source{file: file, faults: (*[]Fault)(&l.faults), paths: l.paths}
	switch doc.Body.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return
	}
	s.mark("", doc.Body)
	pairs, ok := mapping(doc.Body)
	if !ok {
		s.fault("", "the document is "+typeName(doc.Body), "an object with apiVersion, kind, metadata and spec")
		return
	}
	version, kind := header(pairs, s)
	if !s.checkHeader(version, kind) {
		return
	}
	d := &decoder{source: s, refused: refusedFields[kind], anchors: map[string]ast.Node{}, visits: &l.visits}
	switch kind {
	case v1alpha1.KindFunction:
		put(d, doc.Body, &l.all.functions, func(o *v1alpha1.Function) *v1alpha1.Header { return &o.Header })
	case v1alpha1.KindPool:
		put(d, doc.Body, &l.all.pools, func(o *v1alpha1.Pool) *v1alpha1.Header { return &o.Header })
	case v1alpha1.KindQuota:
		put(d, doc.Body, &l.all.quotas, func(o *v1alpha1.Quota) *v1alpha1.Header { return &o.Header })
	case v1alpha1.KindBurstPolicy:
		put(d, doc.Body, &l.all.policies, func(o *v1alpha1.BurstPolicy) *v1alpha1.Header { return &o.Header })
	case v1alpha1.KindPriceBook:
		put(d, doc.Body, &l.all.books, func(o *v1alpha1.PriceBook) *v1alpha1.Header { return &o.Header })
	case v1alpha1.KindServer:
		put(d, doc.Body, &l.all.servers, func(o *v1alpha1.Server) *v1alpha1.Header { return &o.Header })
	}
}

func put[T any](d *decoder, body ast.Node, list *[]entry[T], header func(*T) *v1alpha1.Header) {
	o := new(T)
	d.node(body, reflect.ValueOf(o).Elem(), "")
	*list = append(*list, entry[T]{d.source, header(o), o})
}

// header finds apiVersion and kind, which decide how the rest is read.
func header(pairs []*ast.MappingValueNode, s *source) (version, kind string) {
	for _, pair := range pairs {
		key, _ := keyText(pair.Key)
		text, ok := pair.Value.(*ast.StringNode)
		if key != "apiVersion" && key != "kind" {
			continue
		}
		s.mark(key, pair.Value)
		switch {
		case !ok:
			s.fault(key, "is "+typeName(pair.Value), "text")
		case key == "kind":
			kind = text.Value
		default:
			version = text.Value
		}
	}
	return version, kind
}

func (s *source) checkHeader(version, kind string) bool {
	if version == "" {
		s.fault("apiVersion", "is required", v1alpha1.APIVersion)
	} else if version != v1alpha1.APIVersion {
		s.fault("apiVersion", "unknown version "+quoteShort(version), v1alpha1.APIVersion)
	}
	_, known := refusedFields[kind]
	switch {
	case kind == v1alpha1.KindQuotaRequest:
		s.fault("kind", "a QuotaRequest is not written in files: ask with 'spillway quota request', and 'spillway quota approve' keeps it in the data directory", alternatives(kindNames))
	case kind == "":
		s.fault("kind", "is required", alternatives(kindNames))
	case !known:
		s.fault("kind", "unknown kind "+quoteShort(kind)+s.suggest(kind, kindNames), alternatives(kindNames))
	}
	return version == v1alpha1.APIVersion && known
}

// give adds an object that was made and not written.
func (l *loading) give(o any) {
	if o, ok := o.(Object); ok {
		l.giveObject(o)
		return
	}
	l.add(&source{file: "(given)", faults: (*[]Fault)(&l.faults), paths: l.paths}, o)
}

func (l *loading) add(s *source, o any) {
	switch o := o.(type) {
	case *v1alpha1.Function:
		l.all.functions = append(l.all.functions, entry[v1alpha1.Function]{s, &o.Header, o})
	case *v1alpha1.Pool:
		l.all.pools = append(l.all.pools, entry[v1alpha1.Pool]{s, &o.Header, o})
	case *v1alpha1.Quota:
		l.all.quotas = append(l.all.quotas, entry[v1alpha1.Quota]{s, &o.Header, o})
	case *v1alpha1.BurstPolicy:
		l.all.policies = append(l.all.policies, entry[v1alpha1.BurstPolicy]{s, &o.Header, o})
	case *v1alpha1.PriceBook:
		l.all.books = append(l.all.books, entry[v1alpha1.PriceBook]{s, &o.Header, o})
	default:
		s.fault("", fmt.Sprintf("a %T cannot be given", o), "an object of package v1alpha1")
	}
}
