// Package keepalive decides how long an idle instance of a function is kept, and
// when one is started again before it is needed.
//
// An Engine sees a function's instances as places: the first is in use whenever
// one call runs, the second whenever two do, and so on. A place that is not in use
// has an age, the time since it was; the idle times that a policy learns from are
// the ages at which places were needed again. With one instance this is the idle
// time of the function, as in Shahrad et al., "Serverless in the Wild" (ATC 2020).
//
// A policy answers one question: should an instance be there for a place of this
// age? An instance for which it should not is stopped, and one is started for a
// place that has none when it should. The fixed window asks no policy.
//
// Policies hold no clock and nothing random, and are not safe for concurrent use.
// Each takes less than 1 KiB, allocated when it is made or by the first idle time.
package keepalive

import (
	"math"
	"time"
)

// never is an age that no place reaches.
const never = time.Duration(math.MaxInt64)
