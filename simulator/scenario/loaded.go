package scenario

import (
	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// Of is the scenario of a configuration that is loaded already: nothing is adopted,
// and calls of functions that it does not have are left out. Of o it takes Seed, Warm,
// Step and Models. In a usage export, namespaces are its own column.
func Of(t *trace.Trace, l *config.Loaded, o Options) (*Scenario, error) {
	s := &Scenario{}
	keys := make([]spillway.FunctionKey, len(t.Functions()))
	for i, f := range t.Functions() {
		key := keyOf(t, &f)
		if l.Platform.Function(key) == nil {
			s.Unknown++
			continue
		}
		keys[i] = key
	}
	return s, s.fill(t, o, l, keys)
}
