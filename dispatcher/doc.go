// Package dispatcher decides: Engine is the serial half of the scheduler, and
// nothing else decides anything.
//
//	          Admit        Observe       Complete         Tick
//	            │             │              │              │
//	            ▼             ▼              ▼              ▼
//	┌──────────────────────── Engine ───────────────────────────┐
//	│ placement   quota tree   instances   waits   cloud mirror │
//	└────────────────────────────┬──────────────────────────────┘
//	                             ▼
//	      effects: Start · StartInstance · StopInstance · Post · Reply
//
// Every event takes the time and returns effects, in the order in which a driver
// must carry them out for one call. The Engine holds no clock, goroutine, socket,
// store, logger or random source, and waits for nothing. The live server
// (dispatcher/server), the simulator, dry run and explain build it with New, so
// what is simulated is what runs.
//
// An Engine is not safe for concurrent use; its driver serialises events.
package dispatcher
