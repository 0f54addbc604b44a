package main

import (
	"encoding/csv"
	"strings"
	"testing"
)

// FuzzWriteCSV checks that what is written reads back as as many cells, none of
// which a spreadsheet would calculate.
func FuzzWriteCSV(f *testing.F) {
	f.Add("team", "1.5")
	f.Add("=HYPERLINK(\"x\")", "-2")
	f.Add("a,\"b\n", "+")
	f.Fuzz(func(t *testing.T, a, b string) {
		var out strings.Builder
		if err := writeCSV(&out, [][]string{{a, b, "end"}}); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
		if err != nil || len(rows) != 1 || len(rows[0]) != 3 {
			t.Fatalf("%q reads as %q, %v", out.String(), rows, err)
		}
		for _, cell := range rows[0] {
			number := strings.Trim(strings.TrimPrefix(cell, "-"), "0123456789.") == ""
			if start := strings.TrimSpace(cell); !number && start != "" && strings.Contains("=+-@|%", start[:1]) {
				t.Errorf("cell %q would be calculated", cell)
			}
		}
	})
}

func TestAddresses(t *testing.T) {
	for text, ok := range map[string]bool{
		"http://127.0.0.1:8080": true, "https://spillway.example/base/": true,
		"": false, "127.0.0.1:8080": false, "ftp://x": false, "http://": false, "http://user:secret@host": false, "http://x?y=1": false,
	} {
		if _, err := baseURL("--server", text); (err == nil) != ok {
			t.Errorf("baseURL(%q): %v", text, err)
		} else if err != nil && exitCode(err) != exitInput {
			t.Errorf("baseURL(%q) exits with %d", text, exitCode(err))
		}
	}
	for text, ok := range map[string]bool{"team/echo": true, "team": false, "/echo": false, "team/": false, "a/b/c": false} {
		if _, err := functionKey(text); (err == nil) != ok {
			t.Errorf("functionKey(%q): %v", text, err)
		}
	}
}
