package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// arrivals is a way in which online pods come: so many of a size, each after a while.
type arrivals struct {
	name  string
	pods  int
	milli int64
	every time.Duration
	alone bool // each goes before the next comes
}

var ways = []arrivals{
	{"one at a time, of 100m, within the margin", 8, 100, 200 * time.Millisecond, true},
	{"50m a second, for 10 s", 10, 50, time.Second, false},
	{"900m at once, in six, so that guests must go first", 6, 150, 0, false},
}

// nightLoad is what else the cluster does while online pods come.
type nightLoad struct {
	name string
	nightWork
}

// loads are nothing, first, and Jobs that have all that is idle.
func (o *offline) loads() []nightLoad {
	jobs := "Jobs of " + o.jobTakes.String()
	return []nightLoad{
		{"no offline work", nightWork{}},
		{jobs, nightWork{takes: o.jobTakes}},
		{jobs + " of a PriorityClass below", nightWork{takes: o.jobTakes, class: nightClass}},
	}
}

// delays measures how long online pods wait to be bound, with each load in turn.
func (o *offline) delays(ctx context.Context) error {
	loads := o.loads()
	medians, all := make([][][]time.Duration, len(loads)), make([][][]time.Duration, len(loads))
	for i := range loads {
		medians[i], all[i] = make([][]time.Duration, len(ways)), make([][]time.Duration, len(ways))
	}
	for turn := range o.turns {
		for i := range loads {
			at := (i + turn) % len(loads) // nobody is always first
			fmt.Fprintf(os.Stderr, "benchcluster: run %d, %s …\n", turn+1, loads[at].name)
			got, err := o.delaysOnce(ctx, loads[at].nightWork)
			if err != nil {
				return err
			}
			for way, times := range got {
				medians[at][way] = append(medians[at][way], quantile(times, 50))
				all[at][way] = append(all[at][way], times...)
			}
		}
	}
	for way, w := range ways {
		o.heading(fmt.Sprintf("Online pods, %s: created until bound, %d runs of each in turn", w.name, o.turns),
			"", "pods", "median of the runs' medians ms", "p90 of all ms", "of that without", "the runs' medians ms")
		without := quantile(medians[0][way], 50)
		for i := range loads {
			m := quantile(medians[i][way], 50)
			o.row(loads[i].name, len(all[i][way]), millis(m), millis(quantile(all[i][way], 90)), fmt.Sprintf("%.2f ×", float64(m)/float64(max(without, 1))), list(medians[i][way]))
		}
	}
	return nil
}

func list(times []time.Duration) string {
	var all []string
	for _, t := range times {
		all = append(all, millis(t))
	}
	return strings.Join(all, ", ")
}

func (o *offline) delaysOnce(ctx context.Context, work nightWork) (all [][]time.Duration, err error) {
	if err := o.calm(ctx); err != nil {
		return nil, err
	}
	with := work.takes > 0
	var n *night
	if with {
		n = o.jobsByNight(ctx, work)
		defer func() { err = errors.Join(err, n.over(ctx)) }()
	}
	for way := range ways {
		if with {
			if err := n.filled(ctx); err != nil {
				return nil, err
			}
		}
		times, err := o.arrive(ctx, &ways[way])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ways[way].name, err)
		}
		all = append(all, times)
	}
	return all, nil
}

// arrive has online pods come, and returns how long each waited to be bound. Then they go.
func (o *offline) arrive(ctx context.Context, a *arrivals) (all []time.Duration, err error) {
	o.runs++
	names, asked := make([]string, a.pods), make([]time.Time, a.pods)
	for i := range names {
		names[i] = fmt.Sprintf("online-%d-%d", o.runs, i)
		if asked[i], err = o.online(ctx, names[i], a.milli); err != nil {
			return nil, err
		}
		if a.alone {
			if err := errors.Join(o.bound(ctx, names[i]), o.away(ctx, names[i])); err != nil {
				return nil, err
			}
		}
		if err := pause(ctx, a.every); err != nil {
			return nil, err
		}
	}
	for i, name := range names {
		if err := o.bound(ctx, name); err != nil {
			return nil, err
		}
		all = append(all, o.seen.of(name).bound.Sub(asked[i]))
	}
	if a.alone {
		return all, nil
	}
	return all, o.away(ctx, names...)
}

func (o *offline) bound(ctx context.Context, name string) error {
	return until(ctx, time.Minute, name+" is bound", func() error {
		if !o.seen.of(name).bound.IsZero() {
			return nil
		}
		p, err := o.client.CoreV1().Pods("online").Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			err = fmt.Errorf("%+v", p.Status.Conditions)
		}
		return err
	})
}
