package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// file is one file of an inventory, with what its first line says it is.
type file struct {
	path string
	kind kind
	head []string
}

// Open reads a trace from a file or from the files in a directory and below that
// belong together. Everything is read and checked once before it returns, except
// that calls later come from the files again where a format has a row per call:
// they must not change while the trace is open. Faults are *Error. The caller
// closes the trace.
func Open(ctx context.Context, path string, o Options) (*Trace, error) {
	files, skipped, err := inventory(ctx, path)
	if err != nil {
		return nil, err
	}
	format, err := choose(path, files, o.Format)
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f file) bool {
		if f.kind.format() == format {
			return false
		}
		skipped.add(f.path, 0, "a file of another format than "+string(format), 0, 0)
		return true
	})
	t := &Trace{format: format, skipped: skipped, calls: -1}
	if err := openers[format](ctx, t, files, o); err != nil {
		return nil, err
	}
	return t, nil
}

// Recognise says of which format a file is, by its first line.
func Recognise(path string) (Format, error) {
	f, err := identify(path)
	if err != nil {
		return "", err
	}
	if f.kind == kindNone {
		return "", unknownColumns(path, f.head)
	}
	return f.kind.format(), nil
}

func unknownColumns(path string, head []string) error {
	if len(head) == 0 || len(head) == 1 && head[0] == "" {
		return &Error{File: path, Line: 1, Problem: "the file is empty", Remedy: remedyColumns}
	}
	return &Error{File: path, Line: 1, Problem: "these columns are of no known format: " + shorten(head), Remedy: remedyColumns}
}

var openers = map[Format]func(context.Context, *Trace, []file, Options) error{
	Azure2019:  openAzure2019,
	Azure2021:  openRows,
	LLM:        openRows,
	Usage:      openRows,
	Huawei2023: openHuawei,
}

// inventory finds the files and reads the first line of each. In a directory,
// files of no format are skipped; a file that is named must be of one.
func inventory(ctx context.Context, path string) ([]file, skips, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open trace: %w", err)
	}
	if !info.IsDir() {
		if !info.Mode().IsRegular() {
			return nil, nil, &Error{File: path, Problem: "neither a file nor a folder", Remedy: "write it to a file first: a trace is read more than once"}
		}
		f, err := identify(path)
		if err == nil && f.kind == kindNone {
			err = unknownColumns(path, f.head)
		}
		return []file{f}, nil, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, nil, fmt.Errorf("open trace: %w", err)
	}
	var files []file
	var skipped skips
	err = filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("open trace: %w", err)
		case ctx.Err() != nil:
			return ctx.Err()
		case p != path && strings.HasPrefix(e.Name(), "."):
			skipped.add(p, 0, "a hidden file or folder", 0, 0)
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir():
			return nil
		}
		if info, err := os.Stat(p); err != nil || !info.Mode().IsRegular() {
			skipped.add(p, 0, "not a regular file", 0, 0)
			return nil
		}
		f, err := identify(p)
		if err != nil {
			return err
		}
		if f.kind == kindNone {
			skipped.add(p, 0, "a file of no known format", 0, 0)
			return nil
		}
		files = append(files, f)
		return nil
	})
	slices.SortFunc(files, func(a, b file) int { return natural(a.path, b.path) })
	return files, skipped, err
}

// identify reads the columns of a file.
func identify(path string) (file, error) {
	l, err := openLines(path)
	if err != nil {
		return file{}, err
	}
	defer l.close()
	fields, err := l.record()
	if errors.Is(err, io.EOF) {
		return file{path: path}, nil
	}
	var e *Error
	if errors.As(err, &e) && !e.damaged {
		return file{path: path, head: []string{e.Problem}}, nil // no text of ours
	}
	if err != nil {
		return file{}, err
	}
	f := file{path: path, head: make([]string, len(fields))}
	for i, name := range fields {
		f.head[i] = strings.TrimSpace(string(name))
	}
	f.kind = classify(f.head)
	return f, nil
}

// choose returns the one format of the files: InVitro differs from Azure 2019 in a
// file of memory only.
func choose(path string, files []file, want Format) (Format, error) {
	if want == InVitro {
		want = Azure2019
	}
	if want != "" && openers[want] == nil {
		return "", fmt.Errorf("open trace: format %q is not known; allowed: %v", want, Formats())
	}
	var found []Format
	for _, f := range files {
		if format := f.kind.format(); !slices.Contains(found, format) {
			found = append(found, format)
		}
	}
	switch {
	case len(found) == 0:
		return "", &Error{File: path, Problem: "no file in it is a trace", Remedy: remedyColumns}
	case want != "" && !slices.Contains(found, want):
		return "", &Error{File: path, Problem: fmt.Sprintf("it holds %v, not %s", found, want), Remedy: "leave the format out, or name the right path"}
	case want == "" && len(found) > 1:
		return "", &Error{File: path, Problem: fmt.Sprintf("it holds traces of several formats: %v", found), Remedy: "name one format, or one folder"}
	case want == "":
		want = found[0]
	}
	return want, nil
}

// natural compares names with their numbers compared as numbers, so that d2 comes
// before d10.
func natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		if digit(x[0]) && digit(y[0]) {
			var nx, ny string
			nx, x = number(x)
			ny, y = number(y)
			if c := len(nx) - len(ny); c != 0 {
				return c
			}
			if c := strings.Compare(nx, ny); c != 0 {
				return c
			}
			continue
		}
		if x[0] != y[0] {
			return int(x[0]) - int(y[0])
		}
		x, y = x[1:], y[1:]
	}
	if c := len(x) - len(y); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// number cuts the digits at the beginning, without leading zeros.
func number(s string) (digits, rest string) {
	i := 0
	for i < len(s) && digit(s[i]) {
		i++
	}
	return strings.TrimLeft(s[:i], "0"), s[i:]
}
