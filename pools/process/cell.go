package process

// limiter holds the processes of one instance to its memory.
type limiter interface {
	// enter puts a process under the limit.
	enter(pid int) error
	// peak returns the most bytes used together.
	peak() int64
	// overran reports that it was too much.
	overran() bool
	// empty kills what is left under the limit and waits for it.
	empty()
}

// limiters makes the limiters of a pool, numbered by slot.
type limiters interface {
	limiter(slot int, mib int64) (limiter, error)
	// describe says in a sentence what enforces the limit.
	describe() string
	close()
}

// cell is an agent.Cage: a limiter, and the record by which the next server
// finds what this one may leave behind.
type cell struct {
	limiter
	records *records
	slot    int
	uid     int
}

func (c *cell) Enter(pid int) error {
	if err := c.records.add(c.slot, pid, c.uid); err != nil {
		return err
	}
	return c.limiter.enter(pid)
}

func (c *cell) Peak() int64 { return c.limiter.peak() }

func (c *cell) Overran() bool { return c.limiter.overran() }

func (c *cell) Empty() {
	c.limiter.empty()
	c.records.remove(c.slot)
}
