package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/spillway-dev/spillway/config/requested"
)

func gzipped(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(text)
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstandard(t *testing.T, text []byte, o ...zstd.EOption) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out, o...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = z.Write(text)
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestUnpack bounds what comes out, and not only what comes in.
func TestUnpack(t *testing.T) {
	text := []byte(strings.Repeat(oneCall, 100))
	bomb := make([]byte, 8<<20)
	for name, test := range map[string]struct {
		body []byte
		says string
	}{
		"plain": {text, ""}, "gzip": {gzipped(t, text), ""}, "zstd": {zstandard(t, text), ""}, "empty": {nil, ""},
		"gzip bomb": {gzipped(t, bomb), "more room"}, "zstd bomb": {zstandard(t, bomb), "more room"},
		"wide window":    {zstandard(t, bomb, zstd.WithWindowSize(2*maxTraceWindow), zstd.WithSingleSegment(false)), "damaged"},
		"gzip of gzip":   {gzipped(t, gzipped(t, text)), "compressed twice"},
		"zstd of gzip":   {zstandard(t, gzipped(t, bomb)), "compressed twice"},
		"cut gzip":       {gzipped(t, text)[:60], "damaged"},
		"cut zstd":       {zstandard(t, text)[:60], "damaged"},
		"gzip head only": {[]byte{0x1f, 0x8b}, "damaged"},
	} {
		var out bytes.Buffer
		n, err := unpack(&roomWriter{&out, 1 << 20}, bytes.NewReader(test.body))
		var problem requested.Problem
		switch {
		case test.says != "" && (!errors.As(err, &problem) || !strings.Contains(err.Error(), test.says)):
			t.Errorf("%s: %v", name, err)
		case test.says == "" && (err != nil || int(n) != out.Len() || out.Len() > 0 && !bytes.Equal(out.Bytes(), text)):
			t.Errorf("%s: %d bytes (%v)", name, n, err)
		}
		if out.Len() > 1<<20 {
			t.Errorf("%s: %d bytes written", name, out.Len())
		}
	}
	broken := errors.New("the line is cut")
	if _, err := unpack(io.Discard, io.MultiReader(bytes.NewReader(gzipped(t, text)[:60]), failing{broken})); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error) { return 0, f.error }

// TestTraceOfTooManyNames is refused before they fill the memory.
func TestTraceOfTooManyNames(t *testing.T) {
	a := decidedServer(t)
	if code, said := postQuota(t, a, devToken, "", `{"quota": "team", "reason": "r", "nominal": {"onPrem": {"slots": 8}}}`); code != http.StatusCreated {
		t.Fatal(code, said)
	}
	calls := bytes.NewBufferString("app,func,end_timestamp,duration\n")
	for i := range maxTrialFunctions + 1 {
		fmt.Fprintf(calls, "a,%d,1,1\n", i)
	}
	_, said := postQuota(t, a, devToken, "/qr-1/simulation", string(gzipped(t, calls.Bytes())))
	if !strings.Contains(said, "more than 262144 functions") {
		t.Errorf("%.300s", said)
	}
}

// TestOthersCannotSimulate, nor make the server read their traces.
func TestOthersCannotSimulate(t *testing.T) {
	a := decidedServer(t)
	if code, said := postQuota(t, a, bossToken, "", `{"quota": "team", "reason": "r", "nominal": {"onPrem": {"slots": 8}}}`); code != http.StatusCreated {
		t.Fatal(code, said)
	}
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/v1/quota/requests/qr-1/simulation", failing{errors.New("the body is read")})
	r.RemoteAddr = "127.0.0.1:4000"
	r.Header.Set("Authorization", "Bearer "+devToken)
	w := &deadlined{httptest.NewRecorder()}
	a.admin.Handler.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "dev may not simulate qr-1") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestSlowUpload holds up neither simulations of the ledger nor, alone, those of traces.
func TestSlowUpload(t *testing.T) {
	a := decidedServer(t)
	if code, said := postQuota(t, a, devToken, "", `{"quota": "team", "reason": "r", "nominal": {"onPrem": {"slots": 8}}}`); code != http.StatusCreated {
		t.Fatal(code, said)
	}
	ended := make(chan struct{})
	slow := func() *io.PipeWriter {
		body, calls := io.Pipe()
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1/v1/quota/requests/qr-1/simulation", body)
		r.RemoteAddr, r.ContentLength = "127.0.0.1:4000", -1
		r.Header.Set("Authorization", "Bearer "+devToken)
		go func() {
			a.admin.Handler.ServeHTTP(&deadlined{httptest.NewRecorder()}, r)
			ended <- struct{}{}
		}()
		if _, err := calls.Write([]byte("adm")); err != nil { // it is being read
			t.Error(err)
		}
		return calls
	}
	first := slow()
	if code, said := postQuota(t, a, devToken, "/qr-1/simulation", oneCall); code != http.StatusOK || strings.Contains(said, `"error"`) {
		t.Errorf("with one: %d %s", code, said)
	}
	second := slow()
	if code, said := postQuota(t, a, devToken, "/qr-1/simulation", oneCall); code != http.StatusConflict || !strings.Contains(said, "try again") {
		t.Errorf("with two: %d %s", code, said)
	}
	if _, said := postQuota(t, a, devToken, "/qr-1/simulation", ""); !strings.Contains(said, "the ledger has no calls") {
		t.Errorf("of the ledger: %s", said)
	}
	for _, calls := range []*io.PipeWriter{first, second} {
		calls.CloseWithError(errors.New("gone"))
		<-ended
	}
	if left, _ := filepath.Glob(filepath.Join(a.loaded.Server.DataDir, "requests", ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestListInPages has all requests, however many answers they take.
func TestListInPages(t *testing.T) {
	a := decidedServer(t)
	reason := strings.Repeat("<", 2000) // six bytes each as JSON
	if code, said := postQuota(t, a, devToken, "", `{"quota": "team", "reason": "`+reason+`", "nominal": {"onPrem": {"slots": 8}}}`); code != http.StatusCreated {
		t.Fatal(code, said)
	}
	dir := filepath.Join(a.loaded.Server.DataDir, "requests")
	text, err := os.ReadFile(filepath.Join(dir, "qr-1.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const n = 200
	for i := 2; i <= n; i++ {
		name := fmt.Sprintf("qr-%d", i)
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), bytes.Replace(text, []byte("qr-1"), []byte(name), 1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	answers := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers++
		a.listQuotaRequests(w, r)
	}))
	defer server.Close()
	all, err := quotaRequests(t.Context(), server.URL)
	if err != nil || len(all) != n || answers < 2 {
		t.Fatalf("%d requests in %d answers (%v)", len(all), answers, err)
	}
	for i, r := range all {
		if r.Metadata.Name != fmt.Sprintf("qr-%d", i+1) {
			t.Fatalf("%d is %s", i, r.Metadata.Name)
		}
	}
	for _, skip := range []string{"-1", "x", "99999999999999999999"} {
		w := httptest.NewRecorder()
		if a.listQuotaRequests(w, httptest.NewRequest(http.MethodGet, "/?skip="+skip, nil)); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", skip, w.Code)
		}
	}
}
