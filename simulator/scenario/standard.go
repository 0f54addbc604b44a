package scenario

import (
	"math"
	"strconv"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// Of the default platform.
const (
	region       = "us-east-1"
	nodeSlots    = 10_000
	ownedPlan    = "owned-nodes"
	newAccount   = 1000      // concurrency of a new AWS account
	maxSlots     = 1_000_000 // of a pool, as package config has it
	monthlySpend = "1000000"
)

// exampleNode is the server of the built-in price book.
var exampleNode = func() billing.PlanSpec {
	for _, p := range billing.DefaultPlans() {
		if p.Kind == billing.PlanOwned {
			return p
		}
	}
	panic("the price book has no owned plan")
}()

// machine is what one node of the default platform holds.
var machine = spillway.Resources{Slots: nodeSlots, MilliCPU: exampleNode.Owned.AllocatableMilliCPU, MiB: exampleNode.Owned.AllocatableMiB}

// Standard sizes the default platform.
type Standard struct {
	Nodes       int64 // owned servers
	Concurrency int64 // of the AWS account
}

// StandardFor is the default platform of a trace: as many servers as its mean demand
// fills, and an account for twice its peak in whole thousands.
func StandardFor(s *trace.Summary) Standard {
	seconds := s.Length.Seconds()
	if seconds <= 0 {
		return Standard{1, newAccount}
	}
	gib := (s.GiBSeconds + float64(s.CallsWithoutMemory)*s.MeanDuration.Seconds()*unknownMiB/1024) / seconds
	cores := gib * 1024 / coreMiB
	nodes := math.Ceil(max(gib*1024/float64(machine.MiB), cores*1000/float64(machine.MilliCPU)))
	thousands := (2*s.PeakConcurrency + newAccount - 1) / newAccount
	return Standard{Nodes: int64(min(max(nodes, 1), 1000)), Concurrency: min(max(thousands, 1)*newAccount, 1_000_000)}
}

// objects are the default platform as people would write it.
func (s Standard) objects() []any {
	node := exampleNode.Owned.Node
	var budget v1alpha1.Amount
	if err := budget.UnmarshalText([]byte(monthlySpend)); err != nil {
		panic(err) // it is a number
	}
	cpu, memory := v1alpha1.MilliCPU(s.Nodes*machine.MilliCPU), v1alpha1.Bytes(s.Nodes*machine.MiB*mib)
	since := v1alpha1.Date(exampleNode.ValidFrom)
	return []any{
		&v1alpha1.PriceBook{Header: header(v1alpha1.KindPriceBook, "", "prices"), Spec: v1alpha1.PriceBookSpec{Plans: []v1alpha1.Plan{{
			Plan: ownedPlan, Version: exampleNode.Version + "-x" + strconv.FormatInt(s.Nodes, 10), Kind: string(billing.PlanOwned), Currency: exampleNode.Currency,
			Source: exampleNode.Source, ValidFrom: &since,
			Owned: &v1alpha1.Owned{
				Node: &v1alpha1.Node{
					Count: &s.Nodes, Purchase: decimal(node.Purchase), Salvage: decimal(node.Salvage), LifeMonths: &node.LifeMonths,
					PowerKW: decimal(node.PowerKW), PUE: decimal(node.PUE), TariffPerKWh: decimal(node.TariffPerKWh), RackPerMonth: decimal(node.RackPerMonth),
					MaintenancePercentPerYear: decimal(node.MaintenancePercentPerYear), OtherPerMonth: decimal(node.OtherPerMonth),
				},
				Allocatable:       v1alpha1.Allocatable{CPU: &cpu, Memory: &memory},
				TargetUtilisation: decimal(exampleNode.Owned.TargetUtilisation),
			},
		}}}},
		&v1alpha1.Pool{Header: header(v1alpha1.KindPool, "", "onprem"), Spec: v1alpha1.PoolSpec{
			Kind: "process", PricePlan: ownedPlan, Capacity: &v1alpha1.Capacity{Slots: new(min(s.Nodes*nodeSlots, maxSlots)), CPU: &cpu, Memory: &memory},
		}},
		&v1alpha1.Pool{Header: header(v1alpha1.KindPool, "", "lambda"), Spec: v1alpha1.PoolSpec{
			Kind: "lambda", Region: region, Limits: &v1alpha1.CloudLimits{Concurrency: &s.Concurrency},
		}},
		&v1alpha1.Quota{Header: header(v1alpha1.KindQuota, "", company), Spec: v1alpha1.QuotaSpec{
			Budgets: []v1alpha1.Budget{{Window: "month", Amount: &budget}},
		}},
		&v1alpha1.BurstPolicy{Header: header(v1alpha1.KindBurstPolicy, "", "default"), Spec: v1alpha1.BurstPolicySpec{
			Mode: "Hybrid", Order: []string{"onprem", "lambda"},
		}},
	}
}

func decimal(text string) v1alpha1.Decimal { return v1alpha1.Decimal(text) }
