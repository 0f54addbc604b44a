package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway"
)

// FuzzExit: whatever a function answers is an exit code of a container, and an error is
// never success.
func FuzzExit(f *testing.F) {
	for text, want := range map[string]int{`{"exitCode":3}`: 3, `{}`: 0, `null`: 0, `"done"`: 0, ``: 0, `{"exitCode":-1}`: 1, `{"exitCode":256}`: 1, `{"exitCode":1.5}`: 1, `{"exitCode":[]}`: 1} {
		f.Add(text)
		if got, _ := exitOf([]byte(text), spillway.FunctionOK); got != want {
			f.Errorf("%s: %d, want %d", text, got, want)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, _ := exitOf([]byte(text), spillway.FunctionOK); n < 0 || n > 255 {
			t.Errorf("%d", n)
		}
		if n, says := exitOf([]byte(text), spillway.FunctionUnhandled); n != 1 || len(says) > maxRunText+len("…") {
			t.Errorf("a failed function: %d, %d bytes", n, len(says))
		}
		var in runJSON
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if strict(r, &in) == nil && in.check("a") == nil && (in.Attempt < 1 || !isLabel(in.Function) || !isLabel(in.Namespace)) {
			t.Errorf("taken: %+v", in)
		}
	})
}
