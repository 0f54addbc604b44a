package report_test

import (
	"os"
	"testing"

	"github.com/spillway-dev/spillway/simulator/report"
)

func TestRenderTmp(t *testing.T) {
	dir := os.Getenv("RENDER")
	if dir == "" {
		t.Skip()
	}
	os.WriteFile(dir+"/three.html", written(t, report.HTML, view(skipping(result(three)))), 0o644)
	os.WriteFile(dir+"/crowd.html", written(t, report.HTML, view(result(crowd(1250)))), 0o644)
	os.WriteFile(dir+"/refused.html", written(t, report.HTML, view(result([]tenant{{name: "lab", refusals: 5, refused: 10}}))), 0o644)
	os.WriteFile(dir+"/nothing.html", written(t, report.HTML, &report.View{Result: result(nil)}), 0o644)
}
