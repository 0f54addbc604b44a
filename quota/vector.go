package quota

import "github.com/spillway-dev/spillway"

// each applies f to every dimension.
func each(a, b spillway.Resources, f func(a, b int64) int64) spillway.Resources {
	return spillway.Resources{Slots: f(a.Slots, b.Slots), MilliCPU: f(a.MilliCPU, b.MilliCPU), MiB: f(a.MiB, b.MiB)}
}

// most is the larger in every dimension.
func most(a, b spillway.Resources) spillway.Resources {
	return spillway.Resources{Slots: max(a.Slots, b.Slots), MilliCPU: max(a.MilliCPU, b.MilliCPU), MiB: max(a.MiB, b.MiB)}
}

// plus adds limits: what is not limited stays so.
func plus(a, b spillway.Resources) spillway.Resources {
	return each(a, b, func(a, b int64) int64 {
		if a == spillway.Unlimited || b > spillway.Unlimited-a {
			return spillway.Unlimited
		}
		return a + b
	})
}

// orElse is b where a is not limited.
func orElse(a, b spillway.Resources) spillway.Resources {
	return each(a, b, func(a, b int64) int64 {
		if a == spillway.Unlimited {
			return b
		}
		return a
	})
}
