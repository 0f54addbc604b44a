package cloud

import (
	"testing"
)

// FuzzFilterPattern: a pattern is refused, or picks lines without failing; a quoted
// line alone always picks itself.
func FuzzFilterPattern(f *testing.F) {
	f.Add(`?"REPORT RequestId:" ?"platform.report"`, "REPORT RequestId: a")
	f.Add(`a "b c" d`, "")
	f.Add(`? ""`, "x")
	f.Fuzz(func(t *testing.T, pattern, line string) {
		if matches, err := parsePattern(&pattern); err == nil {
			matches(line)
		}
		quoted := `"` + line + `"`
		if matches, err := parsePattern(&quoted); err == nil && !matches(line) {
			t.Errorf("%s does not match itself", quoted)
		}
	})
}

// FuzzFilterRequest: what is taken has a group, and its own tokens and no others.
func FuzzFilterRequest(f *testing.F) {
	f.Add([]byte(`{"logGroupName":"/aws/lambda/a","startTime":1,"endTime":2,"limit":10,"filterPattern":"x"}`), "1-ab")
	f.Add([]byte(`{"logGroupName":null}`), "")
	f.Fuzz(func(t *testing.T, body []byte, token string) {
		q, err := decodeFilter(body)
		if err != nil {
			return
		}
		if q.LogGroupName == nil {
			t.Fatalf("%s has no group", body)
		}
		if at, err := q.offset(q.token(7)); err != nil || at != 7 {
			t.Errorf("its own token: %v, %d", err, at)
		}
		if at, err := q.offset(token); err == nil && q.token(at) != token {
			t.Errorf("token %q was taken", token)
		}
	})
}

// FuzzCQL: a query is refused, or picks lines by fields of an SCF log.
func FuzzCQL(f *testing.F) {
	f.Add(`SCF_Namespace:"default" AND SCF_FunctionName:"fn" AND SCF_Type:Platform AND SCF_Message:Report*`)
	f.Add(`SCF_A:* AND`)
	f.Add(`x:1`)
	f.Fuzz(func(t *testing.T, query string) {
		matches, refused := parseCQL(query)
		if refused == nil && matches(map[string]string{}) {
			t.Errorf("%q picks a line without fields", query)
		}
	})
}
