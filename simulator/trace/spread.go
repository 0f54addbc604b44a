package trace

import (
	"errors"
	"io"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"
)

// Streams of random numbers: each has a purpose, so that one does not disturb another.
const (
	streamPhase = 0x9e3779b97f4a7c15
	streamDraw  = 0xd1b54a32d192ed03
	streamCount = 0x8cb92ba72f3d8dd7
	streamShape = 0xaef17502108ef2d9
)

// Keys order calls of one bin: the upper bits are nanoseconds since its
// beginning, the lower the function's number.
const (
	functionBits = 28
	maxFunctions = 1 << functionBits
	maxWidth     = time.Minute // fits in the upper 36 bits
)

// windowCalls bounds the calls that are expanded at once. A bin with more is
// expanded in parts.
const windowCalls = 1 << 20

// counted expands counts into calls, a bin at a time.
type counted struct {
	bins      bins
	functions []Function
	defaulted *Quantiles
	width     time.Duration
	seed      uint64
	spread    Spread

	random      rand.PCG
	at          time.Duration // of the bin
	cells       []cell
	part, parts int // the next window of the bin
	keys, other []uint64
	buckets     []uint32
	taken       int // of keys
}

func (c *counted) next(into []Call) (int, error) {
	n := 0
	for n < len(into) {
		if c.taken == len(c.keys) {
			if err := c.expand(); errors.Is(err, io.EOF) && n > 0 {
				return n, nil
			} else if err != nil {
				return n, err
			}
			continue
		}
		n += c.emit(into[n:])
	}
	return n, nil
}

func (c *counted) rewind() error {
	c.cells, c.keys, c.taken, c.part, c.parts = c.cells[:0], c.keys[:0], 0, 0, 0
	return c.bins.rewind()
}

func (c *counted) close() error { return c.bins.close() }

// emit makes calls of ordered keys.
func (c *counted) emit(into []Call) int {
	keys := c.keys[c.taken:]
	keys = keys[:min(len(keys), len(into))]
	into = into[:len(keys)]
	functions := c.functions
	random := c.random
	for i, key := range keys {
		number := key & (maxFunctions - 1)
		q := &functions[number].Duration
		if !q.known {
			q = c.defaulted
		}
		into[i] = Call{At: c.at + time.Duration(key>>functionBits), Duration: q.draw(random.Uint64()), Init: -1, Function: int32(number)}
	}
	c.random = random
	c.taken += len(keys)
	return len(keys)
}

// expand fills keys with the next window, ordered.
func (c *counted) expand() error {
	if c.part == c.parts {
		if err := c.read(); err != nil {
			return err
		}
	}
	from := time.Duration(c.part) * c.width / time.Duration(c.parts)
	c.part++
	to := time.Duration(c.part) * c.width / time.Duration(c.parts)
	c.keys, c.taken = c.keys[:0], 0
	for _, cell := range c.cells {
		c.place(cell, from, to)
	}
	c.order(from, to)
	return nil
}

// read takes the next bin that is not empty.
func (c *counted) read() error {
	for c.cells = c.cells[:0]; len(c.cells) == 0; {
		var err error
		if c.at, c.cells, err = c.bins.next(c.cells); err != nil {
			return err
		}
	}
	var calls int64
	for _, cell := range c.cells {
		calls += cell.count
	}
	c.part, c.parts = 0, int(calls/windowCalls)+1
	c.random.Seed(c.seed^streamDraw, uint64(c.at))
	return nil
}

// place appends the keys of one cell's calls in a part of the bin. Call k of n
// lies at (k + phase) / n of the bin, or anywhere in its part of it.
func (c *counted) place(cell cell, from, to time.Duration) {
	const fine = 20 // bits below a nanosecond
	var phase rand.PCG
	phase.Seed(c.seed^streamPhase, uint64(cell.function))
	step := uint64(c.width) << fine / uint64(cell.count)
	first, _ := bits.Mul64(phase.Uint64(), step)
	low, high := uint64(0), uint64(cell.count)
	if c.parts > 1 {
		low, high = callsBefore(uint64(from)<<fine, first, step, high), callsBefore(uint64(to)<<fine, first, step, high)
	}
	function := uint64(cell.function)
	if c.spread == SpreadRandom {
		for range high - low {
			off, _ := bits.Mul64(c.random.Uint64(), uint64(to-from))
			c.keys = append(c.keys, (uint64(from)+off)<<functionBits|function)
		}
		return
	}
	at := first + low*step
	for range high - low {
		c.keys = append(c.keys, at>>fine<<functionBits|function)
		at += step
	}
}

// callsBefore counts the k below n with first + k·step < limit.
func callsBefore(limit, first, step, n uint64) uint64 {
	if limit <= first {
		return 0
	}
	return min((limit-first+step-1)/step, n)
}

// order sorts keys of a window: by a count of their places, of which there are
// about as many as calls, then by insertion among the few in each.
func (c *counted) order(from, to time.Duration) {
	n := len(c.keys)
	if n < 32 {
		insert(c.keys)
		return
	}
	shift := max(0, bits.Len64(uint64(to-from))-bits.Len(uint(n))) + functionBits
	base := uint64(from) << functionBits >> shift
	places := int((uint64(to)<<functionBits)>>shift-base) + 1
	if cap(c.buckets) < places {
		c.buckets = make([]uint32, places+places/4)
	}
	c.buckets = c.buckets[:places]
	clear(c.buckets)
	for _, key := range c.keys {
		c.buckets[key>>shift-base]++
	}
	sum := uint32(0)
	for i, count := range c.buckets {
		c.buckets[i] = sum
		sum += count
	}
	if cap(c.other) < n {
		c.other = make([]uint64, n+n/4)
	}
	c.other = c.other[:n]
	for _, key := range c.keys {
		b := &c.buckets[key>>shift-base]
		c.other[*b] = key
		*b++
	}
	c.keys, c.other = c.other, c.keys
	insert(c.keys)
}

// insert sorts what is nearly in order, and turns to a full sort where it is not.
func insert(keys []uint64) {
	budget := 8*len(keys) + 512
	for i := 1; i < len(keys); i++ {
		key, j := keys[i], i
		for ; j > 0 && keys[j-1] > key; j-- {
			keys[j] = keys[j-1]
		}
		keys[j] = key
		if budget -= i - j; budget < 0 {
			slices.Sort(keys)
			return
		}
	}
}
