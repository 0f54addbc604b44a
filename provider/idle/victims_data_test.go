package idle_test

import (
	"fmt"
	"strings"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/provider/idle"
)

// facts reads a guest that may have to go.
func (a arguments) facts() idle.GuestFacts {
	g := idle.GuestFacts{
		UID: a.name(), Node: "n1", Holds: a.quantities(), Started: a.at("started"), Duration: a.duration("takes"),
		Deadline: spillway.Never, Movable: !a.has("fails"), Leaving: a.has("leaving"),
	}
	if a.text("deadline") != "" {
		g.Deadline = a.at("deadline")
	}
	if node := a.text("node"); node != "" {
		g.Node = node
	}
	return g
}

func (s *story) victims(a arguments) string {
	c := idle.Victims(a.at("at"), idle.Pressure{Node: "n1", Need: a.quantities()}, s.guests)
	return fmt.Sprintf("%s\nfreed %s; short %s\n", strings.Join(c.UIDs, " "), short(c.Freed), short(c.Short))
}
