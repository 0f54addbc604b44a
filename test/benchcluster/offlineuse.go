package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	traceHour = 5 * time.Second // of the trace in the run
	traceStep = 50              // thousandths of a core, of one online pod
)

// day is how much runs at once in each hour of one day of the Azure Functions trace of
// 2019 (1,250 functions: the calls of each minute times their mean duration, means of an
// hour), in percent of the largest hour. The node is as large as that needs.
var day = [24]int64{57, 62, 57, 58, 55, 61, 64, 64, 64, 65, 62, 64, 67, 69, 82, 100, 71, 69, 72, 67, 66, 68, 62, 61}

// used is what was asked for in a replay, in thousandths of a core times nanoseconds.
type used struct{ all, online, guests, completed int64 }

// utilisation replays the online trace without Jobs and with more of them than fit.
func (o *offline) utilisation(ctx context.Context) error {
	var rows [2]used
	for i := range rows {
		u, err := o.replay(ctx, i == 1)
		if err != nil {
			return err
		}
		rows[i] = u
	}
	share := func(part, of int64) string { return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(max(of, 1))) }
	o.heading(fmt.Sprintf("One day of online load, an hour in %s: cores asked for by pods on the node / cores it has", traceHour),
		"", "online pods", "guests", "together", "Jobs completed", "of what online pods had not asked for, guests had")
	for i, name := range []string{"without offline work", "with it"} {
		u := rows[i]
		o.row(name, share(u.online, u.all), share(u.guests, u.all), share(u.online+u.guests, u.all), u.completed, share(u.guests, u.all-u.online))
	}
	before, after := float64(rows[0].online)/float64(rows[0].all), float64(rows[1].online+rows[1].guests)/float64(rows[1].all)
	fmt.Fprintf(o.out, "\nWith offline work %+.0f %% (%+.0f points).\n", 100*(after/before-1), 100*(after-before))
	return nil
}

func (o *offline) replay(ctx context.Context, with bool) (u used, err error) {
	if err := o.calm(ctx); err != nil {
		return u, err
	}
	var pods onlinePods
	if err := o.level(ctx, &pods, day[0]); err != nil {
		return u, err
	}
	if with {
		n := o.jobsByNight(ctx, nightWork{takes: 20 * time.Second, class: nightClass})
		defer func() { err = errors.Join(err, n.over(ctx)); u.completed = int64(n.completed) }()
		if err := n.filled(ctx); err != nil {
			return u, err
		}
	}
	last := time.Now()
	for _, percent := range day {
		end := time.Now().Add(traceHour)
		if err := o.level(ctx, &pods, percent); err != nil {
			return u, err
		}
		for time.Now().Before(end) {
			h, err := o.held(ctx)
			if err != nil {
				return u, err
			}
			now := time.Now()
			passed := int64(now.Sub(last))
			u.all, u.online, u.guests = u.all+passed*(h.allocatable-h.others), u.online+passed*h.online, u.guests+passed*h.guests
			last = now
			if err := pause(ctx, 250*time.Millisecond); err != nil {
				return u, err
			}
		}
	}
	return u, o.away(ctx, pods...)
}

// onlinePods are those that are there, by name.
type onlinePods []string

// level has as many online pods be there as percent of the node, without waiting for them.
func (o *offline) level(ctx context.Context, pods *onlinePods, percent int64) error {
	h, err := o.held(ctx)
	if err != nil {
		return err
	}
	wanted := int((h.allocatable - h.others) * percent / 100 / traceStep)
	for len(*pods) < wanted {
		o.runs++
		name := fmt.Sprint("online-", o.runs)
		if _, err := o.online(ctx, name, traceStep); err != nil {
			return err
		}
		*pods = append(*pods, name)
	}
	if less := (*pods)[wanted:]; len(less) > 0 {
		*pods = (*pods)[:wanted]
		return o.away(ctx, less...)
	}
	return nil
}
