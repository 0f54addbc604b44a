package operator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/clouddrift"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
)

// reservePlan is what clouds are to reserve, by the UID of the Function. It is made by
// a round, and never changed.
type reservePlan struct {
	functions map[types.UID]*planned
	pools     map[string]*spillway.Pool
	blind     bool // which pools there are is not known
}

// withDeletions is the plan of an earlier round, and of functions that are deleted: what
// was written for them goes also while faults of others leave all as it is.
func (p *reservePlan) withDeletions(objects []cluster.Object) *reservePlan {
	next := &reservePlan{functions: map[types.UID]*planned{}, blind: true}
	if p != nil {
		next.functions, next.pools, next.blind = maps.Clone(p.functions), p.pools, p.blind
	}
	for _, o := range objects {
		if f, ok := o.(*kube.Function); ok && f.DeletionTimestamp != nil && len(f.Status.Reserved) > 0 {
			next.functions[f.UID] = &planned{key: client.ObjectKeyFromObject(f), write: true}
		}
	}
	return next
}

// planned is one function for which something is to be reserved, or was.
type planned struct {
	key     client.ObjectKey
	want    []clouddrift.Reservation
	write   bool // what is not wanted is taken away; else it is left
	restore bool
	// unclaimed are names in clouds that the namespace may not have reserved.
	unclaimed map[string]bool
	// asWritten: what is wanted is what its status says was written.
	asWritten bool
}

// ReserveAnnotation on a Namespace lists the names of functions in clouds, with commas
// between, whose reserved concurrency Functions of the namespace may have written; *
// stands for all. Who may edit Functions names what they are bound to, and must not
// throttle by that whatever else there is in the account.
const ReserveAnnotation = "spillway.dev/reserve"

// claims reports that functions of a namespace may have name reserved.
func claims(namespaces map[string]*metav1.PartialObjectMetadata, namespace, name string) bool {
	ns := namespaces[namespace]
	if ns == nil {
		return false
	}
	for one := range strings.SplitSeq(ns.Annotations[ReserveAnnotation], ",") {
		if one = strings.TrimSpace(one); one == "*" || one == name {
			return true
		}
	}
	return false
}

// planReserve leaves functions out of which nothing is known now.
func planReserve(objects []cluster.Object, loaded *config.Loaded, namespaces map[string]*metav1.PartialObjectMetadata) *reservePlan {
	p := &reservePlan{functions: map[types.UID]*planned{}, pools: map[string]*spillway.Pool{}}
	for _, pool := range clouddrift.CloudPools(loaded.Platform, "") {
		p.pools[pool.Name] = pool
	}
	held := holdersOf(objects)
	want := map[spillway.FunctionKey][]clouddrift.Reservation{}
	for _, r := range clouddrift.Reservations(loaded.Platform) {
		r.Shared = slices.DeleteFunc(r.Shared, func(other string) bool { // who claims nothing stands in nobody's way
			namespace, _, _ := strings.Cut(other, "/")
			return !claims(namespaces, namespace, r.Name)
		})
		r.Shared = append(r.Shared, held.by(r)...)
		want[r.Function.FunctionKey] = append(want[r.Function.FunctionKey], r)
	}
	for _, o := range objects {
		f, ok := o.(*kube.Function)
		if !ok {
			continue
		}
		one := &planned{key: client.ObjectKeyFromObject(f), restore: f.Annotations[RestoreAnnotation] != ""}
		if f.DeletionTimestamp != nil {
			one.write = true
		} else if !slices.Contains(f.Finalizers, Finalizer) {
			continue // it could go, and what is written for it would stay
		} else if known := loaded.Platform.Function(keyOf(f)); known != nil {
			one.want, one.unclaimed = want[keyOf(f)], map[string]bool{}
			for _, r := range one.want {
				if !claims(namespaces, f.Namespace, r.Name) {
					one.unclaimed[r.Name] = true
				}
			}
			one.write = loaded.Platform.BurstPolicies[known.Policy].Reserved == spillway.ReservedWrite
		} else {
			continue
		}
		one.asWritten = asWritten(one, f.Status.Reserved)
		if len(one.want)+len(f.Status.Reserved) > 0 || one.restore {
			p.functions[f.UID] = one
		}
	}
	return p
}

// holders are the functions for which something was written, by name in the cloud.
type holders map[string][]holder

type holder struct {
	function spillway.FunctionKey
	entry    kube.Reservation
}

func holdersOf(objects []cluster.Object) holders {
	all := holders{}
	for _, o := range objects {
		f, ok := o.(*kube.Function)
		if !ok {
			continue
		}
		for _, e := range f.Status.Reserved {
			if wrote(e) {
				all[e.Function] = append(all[e.Function], holder{keyOf(f), e})
			}
		}
	}
	return all
}

// by are the others that take away what they wrote for the same function of the cloud,
// as long as they have not yet: they do not know who has written the same since.
func (h holders) by(r clouddrift.Reservation) []string {
	var all []string
	for _, one := range h[r.Name] {
		name := one.function.String()
		if one.entry.Pool == r.Pool.Name && one.function != r.Function.FunctionKey && !elsewhere(one.entry, r.Pool) && !slices.Contains(r.Shared, name) {
			all = append(all, name)
		}
	}
	return all
}

// asWritten also holds where nothing is written: such a function is only looked at.
func asWritten(one *planned, entries []kube.Reservation) bool {
	if !one.write {
		return !one.restore
	}
	written := map[string]kube.Reservation{}
	for _, e := range entries {
		if e.Written != nil {
			written[e.Pool+" "+e.Function] = e
		}
	}
	wanted := 0
	for _, r := range one.want {
		if r.Want == nil || one.unclaimed[r.Name] {
			continue
		}
		wanted++
		if e, ok := written[r.Pool.Name+" "+r.Name]; !ok || *e.Written != *r.Want || elsewhere(e, r.Pool) {
			return false
		}
	}
	return wanted == len(written) && !one.restore
}

// print is other when something else is to be done.
func (p *planned) print() string {
	var b strings.Builder
	fmt.Fprint(&b, p.write, p.restore)
	for _, r := range p.want {
		fmt.Fprint(&b, " ", r.Pool.Name, placeOf(r.Pool), " ", r.Name, " ", len(r.Shared), p.unclaimed[r.Name])
		if r.Want != nil {
			fmt.Fprint(&b, " ", *r.Want)
		}
	}
	return b.String()
}

// wants reports that something is to be reserved for it.
func (p *planned) wants() bool {
	return slices.ContainsFunc(p.want, func(r clouddrift.Reservation) bool { return r.Want != nil })
}

// schedule says whose turn it is: those for which something else is wanted than they
// have, then those that were not visited yet, then the rest, and of each the one that
// waits longest. A visit again so never keeps a first one waiting.
type schedule struct {
	every time.Duration
	at    map[types.UID]turn
}

type turn struct {
	rank     rank
	at       time.Time // when it is due again; of the other ranks: since when it waits
	visited  bool
	print    string // of what was done last
	failures int    // in a row
}

// rank is what comes first.
type rank uint8

const (
	rankOther rank = iota // something else is wanted than was done
	rankNew               // not visited, and has what is wanted as far as its status knows
	rankSeen
)

const (
	retryReserve = 10 * time.Second // after the first failure; doubled after each
	maxDoublings = 6
)

// next returns the function that is due, or how long none is.
func (s *schedule) next(p *reservePlan, now time.Time) (types.UID, time.Duration) {
	for uid := range s.at {
		if p.functions[uid] == nil {
			delete(s.at, uid)
		}
	}
	var first types.UID
	var best turn
	for uid, one := range p.functions {
		is := s.look(uid, one, now)
		if order := is.compare(best); first == "" || order < 0 || order == 0 && uid < first {
			first, best = uid, is
		}
	}
	switch {
	case first == "":
		return "", s.every
	case best.rank == rankSeen && best.at.After(now):
		return "", best.at.Sub(now)
	}
	return first, 0
}

// look ranks a function, and remembers since when it has another rank.
func (s *schedule) look(uid types.UID, one *planned, now time.Time) turn {
	was, seen := s.at[uid]
	rank := rankNew
	switch {
	case was.visited && was.print == one.print():
		return was
	case was.visited, !one.asWritten:
		rank = rankOther
	}
	if !seen || was.rank != rank {
		was.rank, was.at = rank, now
		s.at[uid] = was
	}
	return was
}

// compare is negative if t comes before u.
func (t turn) compare(u turn) int { return cmp.Or(cmp.Compare(t.rank, u.rank), t.at.Compare(u.at)) }

// done sets when a function is due again.
func (s *schedule) done(uid types.UID, print string, failed bool, now time.Time) {
	was := s.at[uid]
	is := turn{rank: rankSeen, at: now.Add(s.every), visited: true, print: print}
	if failed {
		if was.visited && was.print == print {
			is.failures = was.failures
		}
		is.at = now.Add(min(s.every, retryReserve<<min(is.failures, maxDoublings)))
		is.failures++
	}
	s.at[uid] = is
}
