package billing

import "time"

// lambdaSince is from when the published list below holds: the day that INIT time
// became part of billed time for all functions.
var lambdaSince = time.Date(2025, time.August, 1, 0, 0, 0, 0, time.UTC)

const (
	lambdaPricing = "https://aws.amazon.com/lambda/pricing/"
	tierPricing   = "https://aws.amazon.com/blogs/compute/introducing-tiered-pricing-for-aws-lambda/"
	premiumTable  = "https://app.unpkg.com/artillery@2.0.28/files/lib/platform/aws-lambda/prices.js"
)

// lambdaPrices are on-demand prices of the first tier: the dearest one, so that a
// reservation is never too small. Volume tiers and the free tier belong to the
// paying account as a whole and are not given to any call.
var lambdaPrices = []struct {
	region, arch, currency, gibSecond, request, source string
}{
	{"us-east-1", "x86", "USD", "0.0000166667", "0.0000002", lambdaPricing + " " + tierPricing},
	{"us-east-1", "arm", "USD", "0.0000133334", "0.0000002", lambdaPricing + " " + tierPricing},
	{"ap-southeast-1", "x86", "USD", "0.0000166667", "0.0000002", lambdaPricing + " Price List API, read 2026-08-12"},
	{"ap-southeast-1", "arm", "USD", "0.0000133334", "0.0000002", lambdaPricing + " Price List API, read 2026-08-12"},
	{"ap-east-1", "x86", "USD", "0.00002292", "0.00000028", premiumTable + "; request price not confirmed, compare with your bill"},
	{"ap-east-1", "arm", "USD", "0.0000183", "0.00000028", premiumTable + "; request price not confirmed, compare with your bill"},
	{"cn-northwest-1", "x86", "CNY", "0.000113477", "0.00000136", "price list of the China regions; not confirmed, compare with your bill"},
}

// scfRegions are those of the pay-as-you-go list below, which is one list for all.
var scfRegions = []string{"ap-beijing", "ap-chengdu", "ap-chongqing", "ap-guangzhou", "ap-hongkong", "ap-nanjing", "ap-shanghai", "ap-singapore"}

// scfSince is from when the list is known to hold.
var scfSince = time.Date(2025, time.October, 1, 0, 0, 0, 0, time.UTC)

const scfPricing = "https://cloud.tencent.com/document/product/583/12284, event functions, pay as you go, first tier: memory of what is configured, and 0.0133 CNY per 10,000 calls"

// DefaultPlans returns the price book that is built in: a fresh copy of AWS Lambda
// on demand as "lambda-<arch>-<region>", Tencent SCF as "scf-<region>", and "example-node", one owned two-socket
// server that shows how amortisation works and is nobody's real bill.
func DefaultPlans() []PlanSpec {
	var plans []PlanSpec
	for _, p := range lambdaPrices {
		plans = append(plans, PlanSpec{
			Plan: "lambda-" + p.arch + "-" + p.region, Version: "2025-08-01", Kind: PlanLambda,
			Currency: p.currency, Source: p.source, ValidFrom: lambdaSince,
			PerRequest: p.request, PerGiBSecond: p.gibSecond, IncrementMillis: 1,
		})
	}
	for _, region := range scfRegions {
		plans = append(plans, PlanSpec{
			Plan: "scf-" + region, Version: "2025-10-01", Kind: PlanSCF, Currency: "CNY", Source: scfPricing,
			ValidFrom: scfSince, PerRequest: "0.00000133", PerGiBSecond: "0.00011108", IncrementMillis: 1,
		})
	}
	return append(plans, exampleNode())
}

func exampleNode() PlanSpec {
	return PlanSpec{
		Plan: "example-node", Version: "2025-01-01", Kind: PlanOwned, Currency: "USD",
		Source:    "an example: replace it by your own purchase price, life, power and rack",
		ValidFrom: time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC),
		Owned: &OwnedSpec{
			Node: &NodeSpec{
				Purchase: "9000", Salvage: "900", LifeMonths: 60,
				PowerKW: "0.45", PUE: "1.5", TariffPerKWh: "0.12", RackPerMonth: "40",
				MaintenancePercentPerYear: "5", OtherPerMonth: "60",
			},
			AllocatableMilliCPU: 62_000, AllocatableMiB: 250 * 1024,
			TargetUtilisation: "0.65",
		},
	}
}
