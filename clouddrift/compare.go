package clouddrift

import (
	"fmt"

	"github.com/spillway-dev/spillway"
)

// Compare returns how found differs from what w relies on.
func Compare(w Want, found Found) Finding {
	f := w.finding()
	if found.Missing != "" {
		f.Status, f.Problem = Missing, missingText(w, found.Missing)
		return f
	}
	f.Version = found.Version
	f.memory(w, found)
	f.timeout(w, found)
	f.initTimeout(w, found)
	f.code(w, found)
	f.architecture(w, found)
	if found.State != "" {
		f.differ("state", "takes calls", found.State, "calls fail or wait until the cloud has the function ready: look at it there")
	}
	if found.Split {
		f.differ("routing", "one version behind the alias", "a split between versions", "which revision a call gets is decided here by spec.traffic: remove the alias's weights")
	}
	f.reserved(w, found)
	return f
}

// Failed is the finding for a binding of which the cloud did not tell; problem
// says why.
func Failed(w Want, problem string) Finding {
	f := w.finding()
	f.Status, f.Problem = Unreachable, problem
	return f
}

func missingText(w Want, what Absence) string {
	if what == MissingQualifier {
		return fmt.Sprintf("the function has no version or alias %s: publish it, or change the qualifier", w.Binding.Qualifier)
	}
	return fmt.Sprintf("there is no function %s in %s: deploy it, or change the binding", w.Binding.Name, w.Pool.Region)
}

func (f *Finding) differ(field, expected, found, why string) {
	f.Status = Drift
	f.Differences = append(f.Differences, Difference{field, expected, found, why})
}

func (f *Finding) note(field, text string) { f.Notes = append(f.Notes, Note{field, text}) }

func (f *Finding) memory(w Want, found Found) {
	if found.MiB == w.Binding.MiB {
		return
	}
	why := "calls have less memory than they were given here"
	if found.MiB > w.Binding.MiB {
		why = "calls cost more than is reserved for them"
	}
	f.differ("memory", mebibytes(w.Binding.MiB), mebibytes(found.MiB), why+": make them the same")
}

func (f *Finding) timeout(w Want, found Found) {
	if found.Timeout == w.Binding.Timeout {
		return
	}
	why := "calls are cut off earlier than is allowed here"
	if found.Timeout > w.Binding.Timeout {
		why = "calls can run longer, and cost more, than is reserved for them"
	}
	f.differ("timeout", w.Binding.Timeout.String(), found.Timeout.String(), why+": make them the same")
}

func (f *Finding) initTimeout(w Want, found Found) {
	if found.InitTimeout > w.Pool.InitTimeout {
		f.differ("initTimeout", "at most "+w.Pool.InitTimeout.String(), found.InitTimeout.String(),
			"a start can last longer, and cost more, than is reserved for it: lower it, or raise the pool's initTimeout")
	}
}

func (f *Finding) code(w Want, found Found) {
	switch {
	case found.Digest == "":
		f.note("code", "not compared: "+found.NoDigest)
	case !w.zipped():
		f.note("code", "not compared: the package is a directory and the cloud tells the digest of a zip; use a zip file as package.path")
	case found.Digest != w.Function.Package.Digest:
		f.differ("code", w.Function.Package.Digest, found.Digest, "other code runs there than here: deploy this zip, or pin the other one")
	}
}

func (f *Finding) architecture(w Want, found Found) {
	if w.Architecture == "" || found.Architecture == "" || w.Architecture == found.Architecture {
		return
	}
	f.differ("architecture", w.Architecture, found.Architecture, "the pool's price plan is for another processor: change one of them")
}

// reserved compares the concurrency that a cloud keeps for the function, which is
// also the most that it may have.
func (f *Finding) reserved(w Want, found Found) {
	if w.Mode == spillway.ReservedWrite && w.Reserve != nil {
		if !same(found.Reserved, w.Reserve) {
			f.differ(FieldReserved, reservedText(w.Pool, w.Reserve), reservedText(w.Pool, found.Reserved),
				"the burst policy has what is allowed here written there: the operator does that, or leaves what somebody else changed")
		}
		return
	}
	if found.Reserved == nil || w.Mode == spillway.ReservedOff {
		return
	}
	reserved, unit := *found.Reserved, "calls at once"
	calls := reserved
	if w.Pool.Kind == spillway.PoolSCF {
		unit, calls = "MiB at once", reserved/max(1, w.Binding.MiB)
	}
	said := fmt.Sprintf("%d %s", reserved, unit)
	need := fmt.Sprintf("none, or at least %d calls at once", w.Burst)
	if w.Burst == spillway.Unlimited {
		need = "none"
	}
	switch {
	case reserved == 0:
		f.differ(FieldReserved, need, said, "0 is a kill switch: the cloud refuses every call; raise or remove it")
	case w.Burst != spillway.Unlimited && calls < w.Burst:
		f.differ(FieldReserved, need, said, "the cloud refuses calls that are allowed here: raise it, or lower maxBurstConcurrency")
	case w.Burst == spillway.Unlimited:
		f.note(FieldReserved, said+" are kept for the function, and it gets no more")
	}
}

// FieldReserved is the field of differences in reserved concurrency.
const FieldReserved = "reservedConcurrency"

func reservedText(p *spillway.Pool, n *int64) string {
	if n == nil {
		return "none"
	}
	return fmt.Sprintf("%d %s at once", *n, Unit(p))
}

// CompareAccount returns how an account differs from the limits of a pool, which
// mirror it.
func CompareAccount(p *spillway.Pool, found Account) Finding {
	f := Finding{Pool: p.Name, Status: OK}
	const why = "Spillway sends more at once than the account takes: lower the pool's limits, or have the account's raised"
	if found.Concurrency > 0 && (p.Limits.Concurrency == 0 && p.Limits.MemoryMiB == 0 || p.Limits.Concurrency > found.Concurrency) {
		f.differ("accountConcurrency", atLeast(p.Limits.Concurrency, "calls at once"), fmt.Sprintf("%d calls at once", found.Concurrency), why)
	}
	if found.MemoryMiB > 0 && (p.Limits.Concurrency == 0 && p.Limits.MemoryMiB == 0 || p.Limits.MemoryMiB > found.MemoryMiB) {
		f.differ("accountMemory", atLeast(p.Limits.MemoryMiB, "MiB at once"), fmt.Sprintf("%d MiB at once", found.MemoryMiB), why)
	}
	if found.Unreserved > 0 && found.Unreserved < min(p.Limits.Concurrency, found.Concurrency) {
		f.note("accountConcurrency", fmt.Sprintf("functions without a reservation share %d of the account's %d calls at once", found.Unreserved, found.Concurrency))
	}
	return f
}

// FailedAccount is the finding for an account of which the cloud did not tell.
func FailedAccount(p *spillway.Pool, problem string) Finding {
	return Finding{Pool: p.Name, Status: Unreachable, Problem: problem}
}

func atLeast(n int64, unit string) string {
	if n == 0 {
		return "a limit of the pool"
	}
	return fmt.Sprintf("at least %d %s", n, unit)
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n) }
