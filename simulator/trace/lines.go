package trace

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxLine is the longest line in bytes: 100,000 columns of counts fit in it.
const maxLine = 4 << 20

const remedyCut = "mend or remove the line; the file may be cut off"

// lines reads a plain, gzip or zstd file line by line.
type lines struct {
	name string
	line int64 // of the line read last, from 1

	in         io.Reader
	closers    []func()
	buf        []byte
	start, end int
	ended      error
	joined     []byte
	fields     [][]byte
}

func openLines(path string) (*lines, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open trace: %w", err)
	}
	l := &lines{name: path, closers: []func(){func() { f.Close() }}}
	if err := l.read(f); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// read sets the input, unpacked by its magic number.
func (l *lines) read(r io.Reader) error {
	in := bufio.NewReaderSize(r, 1<<16)
	magic, err := in.Peek(4)
	if err != nil && err != io.EOF {
		return fmt.Errorf("read trace %s: %w", l.name, err)
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(in)
		if err != nil {
			return l.damaged(err)
		}
		l.in = z
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return l.damaged(err)
		}
		l.in = z
		l.closers = append(l.closers, z.Close)
	default:
		l.in = in
	}
	l.buf = make([]byte, 1<<18) // well above in's, which then copies nothing
	return nil
}

func (l *lines) close() {
	for _, c := range l.closers {
		c()
	}
	l.closers = nil
}

func (l *lines) damaged(err error) error {
	problem := "compressed data is damaged"
	if errors.Is(err, io.ErrUnexpectedEOF) {
		problem = "compressed data ends before its end"
	}
	return &Error{File: l.name, Line: l.line + 1, Problem: problem, Err: err, Remedy: "fetch or copy the file again", damaged: true}
}

// fail makes an Error of the line read last.
func (l *lines) fail(problem, remedy string) error {
	return &Error{File: l.name, Line: l.line, Problem: problem, Remedy: remedy}
}

// next returns a line without its end, valid until the next call; io.EOF after
// the last.
func (l *lines) next() ([]byte, error) {
	searched := 0
	for {
		if i := bytes.IndexByte(l.buf[l.start+searched:l.end], '\n'); i >= 0 {
			return l.take(searched+i, 1), nil
		}
		searched = l.end - l.start
		if searched > maxLine {
			return nil, &Error{File: l.name, Line: l.line + 1, Problem: fmt.Sprintf("a line is longer than %d bytes", maxLine),
				Remedy: "this is not a trace, or line ends are missing"}
		}
		if l.ended != nil {
			return l.last()
		}
		l.fill()
	}
}

func (l *lines) take(n, end int) []byte {
	line := l.buf[l.start : l.start+n]
	l.start += n + end
	if l.line++; l.line == 1 {
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	return bytes.TrimSuffix(line, []byte{'\r'})
}

// last returns a final line without an end, then io.EOF or what ended the input.
func (l *lines) last() ([]byte, error) {
	if !errors.Is(l.ended, io.EOF) {
		return nil, l.damaged(l.ended)
	}
	if l.end == l.start {
		return nil, io.EOF
	}
	return l.take(l.end-l.start, 0), nil
}

func (l *lines) fill() {
	if l.start > 0 {
		copy(l.buf, l.buf[l.start:l.end])
		l.start, l.end = 0, l.end-l.start
	}
	if l.end == len(l.buf) {
		l.buf = append(l.buf, make([]byte, len(l.buf))...)
	}
	for range 100 {
		n, err := l.in.Read(l.buf[l.end:])
		l.end += n
		if err != nil {
			l.ended = err
		}
		if n > 0 || err != nil {
			return
		}
	}
	l.ended = io.ErrNoProgress
}

// record returns the fields of the next line that is not empty, valid until the
// next call. Quoted fields may hold commas, quotes and line ends.
func (l *lines) record() ([][]byte, error) {
	for {
		line, err := l.next()
		if err != nil {
			return nil, err
		}
		if len(line) == 0 {
			continue
		}
		if bytes.IndexByte(line, '"') >= 0 {
			return l.quoted(line)
		}
		l.fields = split(line, l.fields[:0])
		return l.fields, nil
	}
}

func split(line []byte, into [][]byte) [][]byte {
	for {
		i := bytes.IndexByte(line, ',')
		if i < 0 {
			return append(into, line)
		}
		into = append(into, line[:i])
		line = line[i+1:]
	}
}

// quoted leaves a record with quotes to encoding/csv.
func (l *lines) quoted(line []byte) ([][]byte, error) {
	at := l.line
	l.joined = append(l.joined[:0], line...)
	for open := odd(line); open; {
		more, err := l.next()
		if errors.Is(err, io.EOF) || len(l.joined) > maxLine {
			return nil, &Error{File: l.name, Line: at, Problem: "a quote is not closed", Remedy: "close it or double it"}
		}
		if err != nil {
			return nil, err
		}
		open = open != odd(more)
		l.joined = append(append(l.joined, '\n'), more...)
	}
	fields, err := csv.NewReader(bytes.NewReader(l.joined)).Read()
	if err != nil {
		return nil, &Error{File: l.name, Line: at, Problem: "quotes are misplaced", Err: err, Remedy: "quote whole fields and double quotes inside"}
	}
	l.fields = l.fields[:0]
	for _, f := range fields {
		l.fields = append(l.fields, []byte(f))
	}
	return l.fields, nil
}

func odd(line []byte) bool { return bytes.Count(line, []byte{'"'})%2 != 0 }

// begin returns the first n fields of the next record that is not empty and the
// rest of its line, or all fields and no rest where quotes are in it.
func (l *lines) begin(n int) (fields [][]byte, rest []byte, err error) {
	for len(rest) == 0 {
		if rest, err = l.next(); err != nil {
			return nil, nil, err
		}
	}
	if bytes.IndexByte(rest, '"') >= 0 {
		fields, err = l.quoted(rest)
		return fields, nil, err
	}
	l.fields = l.fields[:0]
	for len(l.fields) < n {
		i := bytes.IndexByte(rest, ',')
		if i < 0 {
			return append(l.fields, rest), nil, nil
		}
		l.fields, rest = append(l.fields, rest[:i]), rest[i+1:]
	}
	return l.fields, rest, nil
}

// row returns the fields of the next record, which must be as many as columns;
// nil after the last.
func (l *lines) row(columns int) ([][]byte, error) {
	fields, err := l.record()
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err == nil && len(fields) != columns {
		return nil, l.fail(fmt.Sprintf("%d fields where the first line has %d", len(fields), columns), remedyCut)
	}
	return fields, err
}
