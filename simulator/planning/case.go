package planning

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// Trace is a trace that can be read again.
type Trace interface {
	Next(into []trace.Call) (int, error)
	Rewind() error
}

// Case is a trace and what it is planned for.
type Case struct {
	// Run is the trace on the platform as it is. Its Calls are not used.
	Run   simulator.Config
	Trace Trace
	Cloud Cloud
	// Progress, if set, is called now and then with the share of the present step, in
	// [0, 1], and what is being done.
	Progress func(share float64, doing string)
	Calls    int64 // of the trace, for Progress
}

// Cloud is where bursts are planned to go.
type Cloud struct {
	Name string // a pool or price plan
	Pool int    // by index; −1: no pool of the platform
	Rate spillway.Rate
	// Imposed is set where Rate is not the pool's own and Verify has to put it there.
	Imposed bool
	// Mixed is set where functions of the trace have several rates there; Rate is the
	// dearest for memory.
	Mixed bool
}

// ErrNoPrice reports that bursts cannot be priced.
var ErrNoPrice = errors.New("bursts cannot be priced")

// FindCloud returns the cloud pool of a name, or the first in which a function of the
// trace may run if name is empty. It returns ErrNoPrice if there is none.
func FindCloud(c *simulator.Config, name string) (Cloud, error) {
	var names []string
	for i, p := range c.Platform.Pools {
		if !p.Kind.Cloud() || p.Retired {
			continue
		}
		names = append(names, p.Name)
		if name != "" && name != p.Name {
			continue
		}
		cloud := Cloud{Name: p.Name, Pool: i}
		if cloud.rate(c) {
			return cloud, nil
		}
		if name != "" {
			return cloud, fmt.Errorf("%w: no function of the trace may run in pool %s, or no price of it holds; bind functions to it with burst: allow, or name a price plan", ErrNoPrice, name)
		}
	}
	if name == "" && len(names) == 0 {
		return Cloud{}, fmt.Errorf("%w: the configuration has no cloud pool; name a price plan such as lambda-x86-us-east-1", ErrNoPrice)
	}
	if name == "" {
		return Cloud{}, fmt.Errorf("%w: no function of the trace may run in any of the cloud pools %v; bind functions to one with burst: allow, or name a price plan", ErrNoPrice, names)
	}
	return Cloud{}, fmt.Errorf("%w: %q is no cloud pool of the configuration; its cloud pools are %v", ErrNoPrice, name, names)
}

// rate sets the dearest rate of the functions that may run there.
func (cloud *Cloud) rate(c *simulator.Config) bool {
	found := false
	for _, index := range c.Functions {
		if index < 0 || !c.Platform.Functions[index].Permitted.Has(cloud.Pool) {
			continue
		}
		rate := c.Platform.Functions[index].Bindings[cloud.Pool].Rate
		switch {
		case rate.PerGiBSecond == 0 && rate.PerRequest == 0:
		case !found:
			cloud.Rate, found = rate, true
		case rate != cloud.Rate:
			cloud.Mixed = true
			if rate.PerGiBSecond > cloud.Rate.PerGiBSecond {
				cloud.Rate = rate
			}
		}
	}
	return found
}

// billedMiB is what a call of f is billed in the cloud.
func (cloud *Cloud) billedMiB(f *spillway.Function) int64 {
	if cloud.Pool >= 0 && f.Bindings[cloud.Pool].MiB > 0 {
		return f.Bindings[cloud.Pool].MiB
	}
	return f.Resources.MiB
}

// places says where calls of f may run.
func places(f *spillway.Function) (onPrem, cloud bool) {
	for i, p := range f.Platform.Pools {
		if f.Permitted.Has(i) {
			onPrem, cloud = onPrem || !p.Kind.Cloud(), cloud || p.Kind.Cloud()
		}
	}
	return onPrem, cloud
}

// each reads the trace from its beginning.
func (c *Case) each(ctx context.Context, doing string, take func(*trace.Call) error) error {
	if err := c.Trace.Rewind(); err != nil {
		return err
	}
	batch := make([]trace.Call, 4096)
	var read int64
	for {
		n, err := c.Trace.Next(batch)
		for i := range batch[:n] {
			if err := take(&batch[i]); err != nil {
				return err
			}
		}
		read += int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		c.say(float64(read)/float64(max(c.Calls, 1)), doing)
	}
}

func (c *Case) say(share float64, doing string) {
	if c.Progress != nil {
		c.Progress(share, doing)
	}
}

// rebuild returns a platform with the functions that keep accepts, each changed by
// change, and where each function of p went; −1 is nowhere.
func rebuild(p *spillway.Platform, keep func(*spillway.Function) bool, change func(*spillway.Function)) (*spillway.Platform, []int) {
	next := *p
	next.Functions = nil
	at := make([]int, len(p.Functions))
	for i, f := range p.Functions {
		at[i] = -1
		if !keep(f) {
			continue
		}
		at[i] = len(next.Functions)
		own := *f
		own.Index = at[i]
		change(&own)
		next.Functions = append(next.Functions, &own)
	}
	for _, f := range next.Functions {
		f.Revisions = slices.Clone(f.Revisions)
		for i, revision := range f.Revisions {
			f.Revisions[i] = next.Functions[at[revision.Index]]
		}
	}
	next.Index()
	return &next, at
}
