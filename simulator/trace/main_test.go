package trace

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folder writes files, named in the even arguments, into a new directory.
func folder(t testing.TB, namesAndTexts ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(namesAndTexts); i += 2 {
		path := filepath.Join(dir, namesAndTexts[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(namesAndTexts[i+1]), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t testing.TB, path string, o Options) *Trace {
	t.Helper()
	tr, err := Open(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close() })
	return tr
}

// all reads every call, in pieces of an odd size, and checks what holds of every trace.
func all(t testing.TB, tr *Trace) []Call {
	t.Helper()
	calls, err := read(tr)
	if err != nil {
		t.Fatal(err)
	}
	if tr.Calls() >= 0 && tr.Calls() != int64(len(calls)) {
		t.Fatalf("Calls says %d, there are %d", tr.Calls(), len(calls))
	}
	for i, c := range calls {
		if c.At < 0 || c.At >= tr.Length() || c.Duration < 0 || c.Init < -1 || int(c.Function) >= len(tr.Functions()) || c.Function < 0 {
			t.Fatalf("call %d of %d in a trace of %s: %+v", i, len(calls), tr.Length(), c)
		}
		if i > 0 && (c.At < calls[i-1].At || c.At == calls[i-1].At && c.Function < calls[i-1].Function) {
			t.Fatalf("call %d out of order: %+v after %+v", i, c, calls[i-1])
		}
	}
	return calls
}

func read(tr *Trace) ([]Call, error) {
	var calls []Call
	into := make([]Call, 7)
	for {
		n, err := tr.Next(into)
		calls = append(calls, into[:n]...)
		if err == io.EOF {
			return calls, nil
		}
		if err != nil {
			return calls, err
		}
	}
}

func again(t testing.TB, tr *Trace) []Call {
	t.Helper()
	if err := tr.Rewind(); err != nil {
		t.Fatal(err)
	}
	return all(t, tr)
}

// fault opens a trace that cannot be used and returns what is said about it, without
// the path of the directory.
func fault(t testing.TB, dir string) string {
	t.Helper()
	tr, err := Open(context.Background(), dir, Options{})
	if err == nil {
		tr.Close()
		t.Fatalf("opened %s; skipped %+v", tr.Format(), tr.Skipped())
	}
	var e *Error
	if !errors.As(err, &e) || e.Remedy == "" {
		t.Errorf("%v is no *Error with a remedy", err)
	}
	return strings.ReplaceAll(err.Error(), dir+"/", "")
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func zstded(t testing.TB, text string) string {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return string(z.EncodeAll([]byte(text), nil))
}

func ms(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
