package report_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator/report"
)

// compare holds text against a golden file.
func compare(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; look at it and run with -update:\n%s", path, got)
	}
}

func written(t *testing.T, write func(io.Writer, *report.View) error, v *report.View) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGolden(t *testing.T) {
	v := view(skipping(result(three)))
	short := view(v.Result)
	few := *v.Result
	few.Series = few.Series[:2]
	short.Result = &few
	compare(t, "three.txt", written(t, report.Table, v))
	compare(t, "three.json", written(t, report.JSON, short))
	compare(t, "three.csv", written(t, report.CSV, v))
	compare(t, "functions.csv", written(t, report.FunctionsCSV, v))
	compare(t, "series.csv", written(t, report.SeriesCSV, short))
	compare(t, "nothing.txt", written(t, report.Table, &report.View{Result: result(nil)}))
	compare(t, "crowd.txt", written(t, report.Table, view(result(crowd(1250)))))
	compare(t, "refused.txt", written(t, report.Table, view(result([]tenant{{name: "lab", refusals: 5, refused: spillway.ReasonDenied}}))))
}
