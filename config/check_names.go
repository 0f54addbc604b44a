package config

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// Bounds on the number of objects.
const (
	maxFunctions = 100_000
	maxQuotas    = 10_000
	maxPolicies  = 1000
)

// checkNames checks metadata and that no object is written twice, and puts the
// objects in the order of their names, so that nothing depends on the files.
func (l *loading) checkNames() {
	checkKind(&l.all.functions, maxFunctions)
	checkKind(&l.all.pools, spillway.MaxPools)
	checkKind(&l.all.quotas, maxQuotas)
	checkKind(&l.all.policies, maxPolicies)
	checkKind(&l.all.books, 1)
	checkKind(&l.all.servers, 1)
}

// checkKind drops what is over the limit once it has said so.
func checkKind[T any](list *[]entry[T], most int) {
	entries := *list
	seen := make(map[spillway.FunctionKey]entry[T], len(entries))
	if len(entries) > most {
		e := entries[most]
		e.fault("metadata.name", fmt.Sprintf("one %s too many; the first is in %s", e.Kind, where(entries[0].source)),
			fmt.Sprintf("at most %d", most))
		entries = entries[:most]
		*list = entries
	}
	for _, e := range entries {
		e.checkMetadata()
		key := spillway.FunctionKey{Namespace: e.Metadata.Namespace, Name: e.Metadata.Name}
		if first, ok := seen[key]; ok && key.Name != "" {
			e.fault("metadata.name", fmt.Sprintf("%s %s is already written in %s", e.Kind, describe(key), where(first.source)), "")
			continue
		}
		seen[key] = e
	}
	byName(entries)
}

func byName[T any](entries []entry[T]) {
	slices.SortStableFunc(entries, func(a, b entry[T]) int {
		return cmp.Or(cmp.Compare(a.Metadata.Namespace, b.Metadata.Namespace), cmp.Compare(a.Metadata.Name, b.Metadata.Name))
	})
}

func compareKeys(a, b spillway.FunctionKey) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func (e entry[T]) checkMetadata() {
	e.label("metadata.name", e.Metadata.Name)
	switch {
	case e.Kind == v1alpha1.KindFunction:
		e.label("metadata.namespace", e.Metadata.Namespace)
	case e.Metadata.Namespace != "":
		e.fault("metadata.namespace", "a "+e.Kind+" belongs to no namespace", "only a Function has one")
	}
}

func describe(key spillway.FunctionKey) string {
	if key.Namespace == "" {
		return quoteShort(key.Name)
	}
	return quoteShort(key.String())
}

// where returns file:line:col of an object's name.
func where(s *source) string {
	return s.at("metadata.name")
}

// at returns file:line:col of a field, or the object's name if it is in no file.
func (s *source) at(path string) string {
	at := s.locate(path)
	if at.line == 0 {
		return s.file
	}
	return fmt.Sprintf("%s:%d:%d", s.file, at.line, at.col)
}
