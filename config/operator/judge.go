package operator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
)

// Reasons of Ready.
const (
	ReasonValid = "Valid"
	// ReasonInvalid: the object has faults, and nothing of it holds.
	ReasonInvalid = "Invalid"
	// ReasonLastGood: the object has faults, and what it was when it last had none holds
	// in dispatchers that have seen it.
	ReasonLastGood = "LastGoodServes"
	// ReasonBlocked: faults of other objects keep it from being judged.
	ReasonBlocked = "Blocked"
)

// maxGone is how many revisions that a function has no more are remembered.
const maxGone = 16

// judgement is what the loader made of all objects. It is pure.
type judgement struct {
	loaded *config.Loaded // nil if no platform could be made
	faults map[string]config.Faults
	forAll string // what is told of the faults to all
	now    time.Time
	uses   []int64 // by burst policy: functions
}

func newJudgement(loaded *config.Loaded, faults config.Faults, now time.Time) *judgement {
	j := &judgement{loaded: loaded, faults: map[string]config.Faults{}, now: now, forAll: cluster.ForAll(faults)}
	for _, f := range faults {
		j.faults[f.File] = append(j.faults[f.File], f)
	}
	if loaded == nil {
		return j
	}
	j.uses = make([]int64, len(loaded.Platform.BurstPolicies))
	for _, f := range loaded.Platform.Functions {
		if !f.Canary() && loaded.Platform.Function(f.FunctionKey) == f {
			j.uses[f.Policy]++
		}
	}
	return j
}

// status is what an object's should be. Drifted and QuotaProjected are left as they are.
func (j *judgement) status(o kube.Object) owned {
	s := ownedOf(o)
	ready, judged := j.ready(o, &s)
	if !judged {
		return s
	}
	s.ObservedGeneration = o.GetGeneration()
	s.set(kube.Ready, ready, o.GetGeneration(), j.now)
	if j.loaded == nil {
		return s
	}
	switch o := o.(type) {
	case *kube.Function:
		j.function(o, &s, ready.reason)
	case *kube.BurstPolicy:
		s.Functions = 0
		for i, p := range j.loaded.Platform.BurstPolicies {
			if p.Name == o.Name {
				s.Functions = j.uses[i]
			}
		}
	case *kube.PriceBook:
		s.PricesUntil = nil
		if until := j.loaded.PricesUntil; !until.IsZero() {
			s.PricesUntil = new(metav1.NewTime(until.UTC().Truncate(time.Second)))
		}
	}
	return s
}

// ready is the condition, and false if what was judged before holds unchanged.
func (j *judgement) ready(o kube.Object, s *owned) (say, bool) {
	was := s.condition(kube.Ready)
	faults := j.faults[fileOf(o)]
	switch {
	case len(faults) > 0:
		if j.hasLastGood(o, was) {
			return say{metav1.ConditionFalse, ReasonLastGood, said(faults) + "\nIt is left as it was when the dispatcher last saw it without."}, true
		}
		return say{metav1.ConditionFalse, ReasonInvalid, said(faults)}, true
	case j.loaded == nil && was != nil && was.ObservedGeneration == o.GetGeneration() && was.Reason == ReasonValid:
		return say{}, false
	case j.loaded == nil:
		return say{metav1.ConditionUnknown, ReasonBlocked, "Everything is left as it was, since an object that concerns all has faults: " + j.forAll}, true
	}
	if _, runs := o.(*kube.Function); runs { // the operator has no packages
		return say{metav1.ConditionTrue, ReasonValid, "No fault is found in it as it is written. Condition Served says whether the dispatcher has its package and serves it."}, true
	}
	return say{metav1.ConditionTrue, ReasonValid, "It holds as it is written."}, true
}

// hasLastGood reports that an object was good before. That is in its status, so that
// an operator that has just started says the same.
func (j *judgement) hasLastGood(o kube.Object, was *metav1.Condition) bool {
	if f, ok := o.(*kube.Function); ok && j.loaded != nil && j.loaded.Platform.Function(keyOf(f)) != nil {
		return true
	}
	if was == nil {
		return false
	}
	return was.Reason == ReasonLastGood || was.Reason == ReasonValid && was.ObservedGeneration < o.GetGeneration() ||
		was.Reason == ReasonBlocked && len(o.Observed().Conditions) > 1
}

func (j *judgement) function(o *kube.Function, s *owned, ready string) {
	f := j.loaded.Platform.Function(keyOf(o))
	if f == nil {
		if ready == ReasonLastGood { // an operator that has just started has not seen that
			return
		}
		s.set(kube.Burstable, say{metav1.ConditionFalse, "NotReady", "The function has faults; see condition Ready."}, o.Generation, j.now)
		return
	}
	s.set(kube.Burstable, burstable(f, j.now), o.Generation, j.now)
	if ready == ReasonValid {
		s.Revisions = revisions(s.Revisions, o.Spec.Revisions, j.now)
		s.Traffic = traffic(f)
		s.Split = split(s.Traffic)
	}
}

// revisions adds those that are new to those that were seen, newest last, and forgets
// the oldest of those that are gone.
func revisions(seen []kube.RevisionStatus, written []v1alpha1.Revision, now time.Time) []kube.RevisionStatus {
	code := map[string]string{}
	for _, r := range written {
		code[r.Name] = cmp.Or(r.Image, r.Package.Digest)
	}
	gone := -maxGone
	for _, r := range seen {
		if _, ok := code[r.Name]; !ok {
			gone++
		}
	}
	var all []kube.RevisionStatus
	for _, r := range seen {
		is, there := code[r.Name]
		if !there && gone > 0 {
			gone--
			continue
		}
		if there {
			r.Code = is
			delete(code, r.Name)
		}
		all = append(all, r)
	}
	for _, name := range slices.Sorted(maps.Keys(code)) {
		all = append(all, kube.RevisionStatus{Name: name, Code: code[name], Since: metav1.NewTime(now.UTC().Truncate(time.Second))})
	}
	return all
}

func traffic(f *spillway.Function) []kube.TrafficStatus {
	if len(f.Revisions) == 0 {
		return []kube.TrafficStatus{{Revision: f.Revision, Weight: 100}}
	}
	var all []kube.TrafficStatus
	for _, r := range f.Revisions {
		all = append(all, kube.TrafficStatus{Revision: r.Revision, Weight: r.Weight})
	}
	slices.SortFunc(all, func(a, b kube.TrafficStatus) int { return strings.Compare(a.Revision, b.Revision) })
	return all
}

// maxSplit is how many revisions are named where people look at many functions.
const maxSplit = 4

// split is traffic in words, most first: the name alone of a revision that has all calls.
func split(traffic []kube.TrafficStatus) string {
	var parts []string
	most := slices.SortedStableFunc(slices.Values(traffic), func(a, b kube.TrafficStatus) int { return cmp.Compare(b.Weight, a.Weight) })
	for _, t := range most {
		switch {
		case t.Weight == 100:
			return t.Revision
		case t.Weight > 0:
			parts = append(parts, fmt.Sprintf("%s %d%%", t.Revision, t.Weight))
		}
	}
	if n := len(parts) - maxSplit; n > 0 {
		parts = append(parts[:maxSplit], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(parts, ", ")
}

func keyOf(f *kube.Function) spillway.FunctionKey {
	return spillway.FunctionKey{Namespace: f.Namespace, Name: f.Name}
}

// fileOf is how faults name an object.
func fileOf(o kube.Object) string {
	if o.GetNamespace() == "" {
		return kindOf(o) + " " + o.GetName()
	}
	return kindOf(o) + " " + o.GetNamespace() + "/" + o.GetName()
}

// said joins the words of faults of one object.
func said(faults config.Faults) string {
	const most = 8
	var lines []string
	for i, f := range faults {
		if i == most {
			lines = append(lines, fmt.Sprintf("and %d more", len(faults)-most))
			break
		}
		lines = append(lines, strings.TrimPrefix(f.String(), f.File+": "))
	}
	return strings.Join(lines, "\n")
}
