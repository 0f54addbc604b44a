package trace

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// azure2019 collects the files of counts, durations and memory.
type azure2019 struct {
	ctx     context.Context
	names   *names
	days    countedDays
	calls   int64
	skipped *skips
	weights []float64 // of each function's durations so far
}

// firstDay2019 is the first day of the data set.
var firstDay2019 = time.Date(2019, 7, 15, 0, 0, 0, 0, time.UTC)

func openAzure2019(ctx context.Context, t *Trace, files []file, o Options) error {
	a := &azure2019{ctx: ctx, names: newNames(o), skipped: &t.skipped}
	a.days.width = time.Minute
	first, err := a.readCounts(files)
	if err != nil {
		return err
	}
	if err := a.readDurations(files); err != nil {
		return err
	}
	perFunction, err := a.readMemory(files)
	if err != nil {
		return err
	}
	if perFunction {
		t.format = InVitro
	}
	last := &a.days.days[len(a.days.days)-1]
	t.functions, t.calls = a.names.functions, a.calls
	t.start = firstDay2019.Add(time.Duration(first-1) * time.Minute)
	t.length = last.at + time.Duration(len(last.ends))*time.Minute
	t.count(&a.days, a.days.width, o)
	return nil
}

// count sets the source of calls to counts.
func (t *Trace) count(b bins, width time.Duration, o Options) {
	t.defaulted = defaultDuration(t.functions)
	t.source = &counted{bins: b, functions: t.functions, defaulted: &t.defaulted, width: width, seed: o.Seed, spread: o.Spread}
}

func ofKind(files []file, k kind) []file {
	return slices.DeleteFunc(slices.Clone(files), func(f file) bool { return f.kind != k })
}

// readCounts reads the days and returns the number of the first one's first minute.
func (a *azure2019) readCounts(files []file) (first int, err error) {
	counts := ofKind(files, kindCounts)
	if len(counts) == 0 {
		return 0, &Error{File: files[0].path, Problem: "durations or memory of Azure 2019 without counts of calls", Remedy: "name the folder that also holds the counts per minute"}
	}
	days, err := a.daysOf(counts)
	if err != nil {
		return 0, err
	}
	var seen []int32 // day + 1 in which each function was seen last
	for i, d := range days {
		place, from, err := minuteColumns(d.file, len(days) > 1)
		if err != nil {
			return 0, err
		}
		from += (d.number - 1) * 1440
		if i == 0 {
			first = from
		}
		if seen, err = a.readDay(d.file, place, time.Duration(from-first)*time.Minute, seen); err != nil {
			return 0, err
		}
	}
	if len(a.names.functions) == 0 {
		return 0, &Error{File: days[0].path, Problem: "no function in it", Remedy: "the file may be cut off"}
	}
	return first, nil
}

// day2019 is a file of counts and the number of its day, from 1.
type day2019 struct {
	file
	number int
}

// dayNumber is where names have the number of their day, as in "md.anon.d01.csv".
var dayNumber = regexp.MustCompile(`(^|\.)d(\d{1,4})\.`)

// daysOf puts files in order of their days: of their numbers if all have one, else of
// the files. Days that are missing are skipped.
func (a *azure2019) daysOf(files []file) ([]day2019, error) {
	days := make([]day2019, len(files))
	numbered := true
	for i, f := range files {
		if filepath.Dir(f.path) != filepath.Dir(files[0].path) {
			return nil, &Error{File: f.path, Problem: "counts in several folders, first " + filepath.Dir(files[0].path), Remedy: "name one of the folders: days of one trace lie together"}
		}
		days[i].file = f
		if found := dayNumber.FindStringSubmatch(filepath.Base(f.path)); found != nil {
			days[i].number, _ = strconv.Atoi(found[2])
		}
		numbered = numbered && days[i].number > 0
	}
	if !numbered {
		for i := range days {
			days[i].number = i + 1
		}
		return days, nil
	}
	slices.SortStableFunc(days, func(a, b day2019) int { return a.number - b.number })
	for i := range days[1:] {
		before, d := &days[i], &days[i+1]
		if d.number == before.number {
			return nil, &Error{File: d.path, Problem: "counts of the same day as " + filepath.Base(before.path), Remedy: "remove one"}
		}
		for missing := before.number + 1; missing < d.number; missing++ {
			name := dayNumber.ReplaceAllString(filepath.Base(d.path), fmt.Sprintf("${1}d%02d.", missing))
			a.skipped.add(filepath.Join(filepath.Dir(d.path), name), 0, "a day without a file of counts, on which nothing is called", 0, 0)
		}
	}
	return days, nil
}

// minuteColumns returns the place and the number of the first minute. The others
// must follow it, and nothing else.
func minuteColumns(f file, withinDay bool) (place, first int, err error) {
	first = -1
	last := 0
	for i, name := range f.head {
		minute := minuteOf(name)
		if minute < 0 {
			continue
		}
		if first < 0 {
			first, place = minute, i
		}
		if minute != first+i-place {
			return 0, 0, &Error{File: f.path, Line: 1, Problem: fmt.Sprintf("column %q where minute %d should follow", name, first+i-place), Remedy: "put the minutes in order, without gaps"}
		}
		last = i
	}
	if last != len(f.head)-1 {
		return 0, 0, &Error{File: f.path, Line: 1, Problem: fmt.Sprintf("column %q after the minutes", f.head[last+1]), Remedy: "put it before them"}
	}
	if end := first + last - place; withinDay && end > 1440 {
		return 0, 0, &Error{File: f.path, Line: 1, Problem: fmt.Sprintf("minutes up to %d in one of several days", end), Remedy: "a day has minutes 1 to 1440; name the file alone if it is a trace of its own"}
	}
	return place, first, nil
}

// readDay packs one file of counts, whose minutes begin at a place of its columns.
func (a *azure2019) readDay(f file, place int, at time.Duration, seen []int32) ([]int32, error) {
	id, err := where(f, columns2019...)
	if err != nil {
		return nil, err
	}
	d := dayReader{azure2019: a, packer: newDayPacker(len(f.head) - place), id: id, place: place,
		trigger: slices.Index(f.head, "Trigger"), seen: seen, ordered: true}
	if d.lines, err = openLines(f.path); err != nil {
		return nil, err
	}
	defer d.lines.close()
	_, err = d.lines.record()
	for err == nil {
		err = d.row()
	}
	if !errors.Is(err, io.EOF) {
		return nil, err
	}
	packed := d.packer.pack(at)
	if !d.ordered {
		packed.numbers = slices.Clip(d.numbers)
	}
	a.days.days = append(a.days.days, packed)
	return d.seen, nil
}

// dayReader reads the rows of one file of counts.
type dayReader struct {
	*azure2019
	lines          *lines
	packer         *dayPacker
	id             []int
	place, trigger int
	seen           []int32 // day + 1 in which each function was seen last
	numbers        []int32 // of each row's function
	ordered        bool    // numbers count from 0
}

func (d *dayReader) row() error {
	fields, rest, err := d.lines.begin(d.place)
	if err != nil {
		return err
	}
	if rest == nil && len(fields) > d.place { // quoted: the counts, joined again, are plain
		rest = bytes.Join(fields[d.place:], []byte{','})
	}
	if len(fields) < d.place {
		return d.lines.fail(fmt.Sprintf("%d fields where the first line has %d", len(fields), d.place+len(d.packer.bins)), remedyCut)
	}
	var trigger []byte
	if d.trigger >= 0 {
		trigger = fields[d.trigger]
	}
	number, err := d.function(d.lines, fields, d.id, trigger)
	if err != nil {
		return err
	}
	d.seen = append(d.seen, make([]int32, len(d.names.functions)-len(d.seen))...)
	day := int32(len(d.days.days) + 1)
	if d.seen[number] == day {
		return d.lines.fail(fmt.Sprintf("a second row of function %q", fields[d.id[2]]), "add the rows together or remove one")
	}
	d.seen[number] = day
	row := len(d.numbers)
	d.numbers = append(d.numbers, number)
	d.ordered = d.ordered && int(number) == row
	return d.counts(row, rest)
}

// fourZeros is the most frequent text of such files.
var fourZeros = binary.LittleEndian.Uint64([]byte("0,0,0,0,"))

// counts packs the counts of a row, separated by commas.
func (d *dayReader) counts(row int, rest []byte) error {
	bins := len(d.packer.bins)
	for bin := 0; ; bin++ {
		for len(rest) >= 8 && binary.LittleEndian.Uint64(rest) == fourZeros {
			rest, bin = rest[8:], bin+4
		}
		end := bytes.IndexByte(rest, ',')
		field := rest
		if end >= 0 {
			field, rest = rest[:end], rest[end+1:]
		}
		if bin >= bins || end < 0 && bin != bins-1 {
			return d.lines.fail(fmt.Sprintf("%d fields or more where the first line has %d", d.place+bin+1, d.place+bins), remedyCut)
		}
		if err := d.count(row, bin, field); err != nil || end < 0 {
			return err
		}
	}
}

func (d *dayReader) count(row, bin int, field []byte) error {
	if len(field) == 1 && field[0] == '0' {
		return nil
	}
	count, ok := parseCount(field)
	if !ok {
		return d.lines.fail(fmt.Sprintf("count %q in column %d is not a whole number from 0 to %d", field, d.place+bin+1, maxCount), "mend the count")
	}
	if count > 0 {
		d.packer.add(row, bin, count)
		d.calls += count
	}
	return nil
}

func (a *azure2019) function(l *lines, fields [][]byte, id []int, trigger []byte) (int32, error) {
	if l.line&1023 == 0 && a.ctx.Err() != nil {
		return 0, a.ctx.Err()
	}
	owner, app, name := fields[id[0]], fields[id[1]], fields[id[2]]
	if len(owner) == 0 || len(app) == 0 || len(name) == 0 {
		return 0, l.fail("owner, application or function is empty", "name all three")
	}
	number, added := a.names.number(owner, app, name, trigger)
	if added && int(number) >= a.names.most {
		return 0, l.fail(fmt.Sprintf("more than %d functions", a.names.most), "split the trace")
	}
	return number, nil
}
