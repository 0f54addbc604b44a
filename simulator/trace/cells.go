package trace

import (
	"encoding/binary"
	"io"
	"time"
)

// cell is how often one function was called in one bin.
type cell struct {
	function int32
	count    int64
}

// bins yields counts bin by bin. Bins are of one width; ones without calls may be left out.
type bins interface {
	// next appends the cells of the next bin, which begins at the given time. The
	// order of cells is part of what a seed repeats. io.EOF follows the last bin.
	next(into []cell) (at time.Duration, cells []cell, err error)
	rewind() error
	close() error
}

// dayCells are the counts of one file, bin by bin: about two bytes for each
// function that was called in a bin.
type dayCells struct {
	at      time.Duration // of the first bin
	packed  []byte
	ends    []int   // of each bin in packed
	numbers []int32 // row to function number; nil: the same
}

// appendCell packs a count that is not 0. gap is how many rows lie between it and the
// one before.
func appendCell(into []byte, gap int, count int64) []byte {
	if count == 1 {
		return binary.AppendUvarint(into, uint64(gap)<<1)
	}
	into = binary.AppendUvarint(into, uint64(gap)<<1|1)
	return binary.AppendUvarint(into, uint64(count-2))
}

// unpack appends the cells of bin i.
func (d *dayCells) unpack(i int, into []cell) []cell {
	from := 0
	if i > 0 {
		from = d.ends[i-1]
	}
	packed := d.packed[from:d.ends[i]]
	for row := -1; len(packed) > 0; {
		head, n := binary.Uvarint(packed)
		packed = packed[n:]
		row += int(head>>1) + 1
		c := cell{function: int32(row), count: 1}
		if head&1 != 0 {
			more, n := binary.Uvarint(packed)
			packed = packed[n:]
			c.count = int64(more) + 2
		}
		if d.numbers != nil {
			c.function = d.numbers[row]
		}
		into = append(into, c)
	}
	return into
}

// dayPacker collects the rows of one file, which come function by function, into
// bins.
type dayPacker struct {
	bins [][]byte
	last []int32 // row + 1 of each bin's last cell
}

func newDayPacker(n int) *dayPacker {
	return &dayPacker{bins: make([][]byte, n), last: make([]int32, n)}
}

func (p *dayPacker) add(row, bin int, count int64) {
	p.bins[bin] = appendCell(p.bins[bin], row-int(p.last[bin]), count)
	p.last[bin] = int32(row + 1)
}

// pack returns what was collected, without slack.
func (p *dayPacker) pack(at time.Duration) dayCells {
	size := 0
	for _, b := range p.bins {
		size += len(b)
	}
	d := dayCells{at: at, packed: make([]byte, 0, size), ends: make([]int, len(p.bins))}
	for i, b := range p.bins {
		d.packed = append(d.packed, b...)
		d.ends[i] = len(d.packed)
		p.bins[i] = nil
	}
	return d
}

// countedDays are bins that are kept in memory.
type countedDays struct {
	days     []dayCells
	width    time.Duration
	day, bin int
}

func (c *countedDays) next(into []cell) (time.Duration, []cell, error) {
	for c.day < len(c.days) {
		d := &c.days[c.day]
		if c.bin < len(d.ends) {
			i := c.bin
			c.bin++
			return d.at + time.Duration(i)*c.width, d.unpack(i, into), nil
		}
		c.day, c.bin = c.day+1, 0
	}
	return 0, into, io.EOF
}

func (c *countedDays) rewind() error { c.day, c.bin = 0, 0; return nil }
func (c *countedDays) close() error  { return nil }
