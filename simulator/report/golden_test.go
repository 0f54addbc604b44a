package report_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/apd/v3"

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

// TestCostAddsUp to the last digit, also where an amount has more digits than fit a
// word: the total must not be written into one of its parts.
func TestCostAddsUp(t *testing.T) {
	v := &report.View{Result: result(three)}
	if _, _, err := v.Result.OwnedCost.SetString("123456789012345678901.123456789012345678"); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := report.JSON(&out, v); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Cost struct{ Owned, Cloud, Total string }
	}
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	var owned, cloud, sum apd.Decimal
	for text, into := range map[string]*apd.Decimal{doc.Cost.Owned: &owned, doc.Cost.Cloud: &cloud} {
		if _, _, err := into.SetString(text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := apd.BaseContext.WithPrecision(60).Add(&sum, &owned, &cloud); err != nil || sum.Text('f') != doc.Cost.Total || doc.Cost.Owned != "123456789012345678901.123456789012345678" {
		t.Errorf("%+v (%v)", doc.Cost, err)
	}
}
