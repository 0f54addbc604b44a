package trace

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFaults: where, what, and that something can be done.
func TestFaults(t *testing.T) {
	head := "HashOwner,HashApp,HashFunction,1,2\n"
	usage := strings.Join(columnsUsage, ",") + "\n"
	row := "2026-01-05T00:00:00Z,ns,f,r1,d,onprem,preferred,executed,5,0,128,500,1,0.5,CNY,0\n"
	var many strings.Builder // does not compress to less than 40,000 bytes
	random := rand.NewPCG(1, 2)
	for range 20_000 {
		many.WriteString(strings.Replace(row, ",f,", fmt.Sprintf(",f%x,", random.Uint64()), 1))
	}
	big := usage + many.String()
	cases := map[string]struct{ text, want string }{
		"no columns":      {"a,b\n1,2\n", `x: no file in it is a trace`},
		"empty":           {"", `x: no file in it is a trace`},
		"negative count":  {head + "o,a,f,1,0\no,a,g,-1,0\n", `x:3: count "-1" in column 4`},
		"fraction":        {head + "o,a,f,1.5,0\n", `x:2: count "1.5" in column 4`},
		"huge count":      {head + "o,a,f,1,99999999999999999999\n", `x:2: count "99999999999999999999" in column 5`},
		"word":            {head + "o,a,f,1,many\n", `x:2: count "many" in column 5`},
		"short row":       {head + "o,a,f,1\n", `x:2: 4 fields or more where the first line has 5`},
		"shorter row":     {head + "o,a\n", `x:2: 2 fields where the first line has 5`},
		"long row":        {head + "o,a,f,1,0,0,0,0,0,0,0,0\n", `x:2: `},
		"zeros too many":  {"HashOwner,HashApp,HashFunction,1,2,3\no,a,f,0,0,0,0,0,0\n", `x:2: `},
		"no name":         {head + "o,a,,1,0\n", `x:2: owner, application or function is empty`},
		"twice":           {head + "o,a,f,1,0\no,a,f,1,0\n", `x:3: a second row of function "f"`},
		"minute missing":  {"HashOwner,HashApp,HashFunction,1,3\n", `x:1: column "3" where minute 2`},
		"minutes back":    {"HashOwner,HashApp,HashFunction,2,1\n", `x:1: column "1" where minute 3`},
		"column twice":    {"HashOwner,HashApp,HashFunction,HashApp,1\n", `x:1: column "HashApp" is there twice`},
		"column after":    {"HashOwner,HashApp,HashFunction,1,2,Trigger\n", `x:1: column "Trigger" after the minutes`},
		"no function":     {head, `x: no function in it`},
		"only durations":  {durations3, `x: durations or memory of Azure 2019 without counts`},
		"cut gzip":        {gzipped(t, big)[:40000], `compressed data ends before its end`},
		"cut zstd":        {zstded(t, big)[:40000], `compressed data ends before its end`},
		"spoilt gzip":     {spoil(gzipped(t, counts3)), `compressed data is damaged`},
		"open quote":      {head + "o,a,\"f,1,0\no,a,g,1,0\n", `x:2: a quote is not closed`},
		"long quote":      {head + "o,a,\"f\n" + strings.Repeat("x\n", 3<<20), `x:2: a quote is not closed`}, // each line looked at once
		"odd quotes":      {head + "o,a,f\"g\"h,1,0\n", `x:2: quotes are misplaced`},
		"endless line":    {head + "o,a,f," + strings.Repeat("1", 6<<20), `x:2: a line is longer than 4194304 bytes`},
		"2021 end":        {"app,func,end_timestamp,duration\na,f,x,1\n", `x:2: end_timestamp "x"`},
		"2021 negative":   {"app,func,end_timestamp,duration\na,f,1,-1\n", `x:2: duration "-1"`},
		"2021 NaN":        {"app,func,end_timestamp,duration\na,f,NaN,1\n", `x:2: end_timestamp "NaN"`},
		"2021 Inf":        {"app,func,end_timestamp,duration\na,f,1,Inf\n", `x:2: duration "Inf"`},
		"2021 none":       {"app,func,end_timestamp,duration\n", `x: no call in it`},
		"2021 fields":     {"app,func,end_timestamp,duration\na,f,1\n", `x:2: 3 fields where the first line has 4`},
		"llm time":        {"TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,1\n", `x:2: TIMESTAMP "yesterday"`},
		"llm tokens":      {"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,-1,1\n", `x:2: ContextTokens "-1"`},
		"usage column":    {"admitted,namespace,function\n", `x:1: column "revision" is missing`},
		"usage time":      {usage + "5.1.2026" + row[20:], `x:2: admitted "5.1.2026" is not a time`},
		"usage year":      {usage + "9999" + row[4:], `x:2: admitted "9999-01-05T00:00:00Z" is not a time`},
		"usage outcome":   {usage + strings.Replace(row, "executed", "done", 1), `x:2: outcome "done"`},
		"usage duration":  {usage + strings.Replace(row, ",5,0,", ",-5,0,", 1), `x:2: duration_us "-5"`},
		"usage memory":    {usage + strings.Replace(row, "128", "", 1), `x:2: memory_mib ""`},
		"usage namespace": {usage + strings.Replace(row, "ns", "", 1), `x:2: namespace or function is empty`},
		"huawei order":    {"day,time,1\n0,0,1\n0,60,1\n0,60,1\n", `x:4: time 1m0s does not follow 1m0s by 1m0s`},
		"huawei width":    {"day,time,1\n0,0,1\n0,3600,1\n", `x:3: rows are 1h0m0s apart`},
		"huawei count":    {"day,time,1\n0,0,-2\n", `x:2: count "-2" in column 3`},
		"huawei twice":    {"day,time,1,1\n0,0,1,1\n", `x:1: column "1" is there twice`},
		"huawei empty":    {"day,time,1\n", `x: no row in it`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, "x", c.text)
			said := strings.ReplaceAll(fault(t, dir), dir, "x")
			if !strings.Contains(said, c.want) {
				t.Errorf("%s\nwant %s", said, c.want)
			}
			if strings.Contains(name, "cut ") && !strings.Contains(said, "x:") {
				t.Errorf("no line in %s", said)
			}
		})
	}
}

func spoil(packed string) string {
	b := []byte(packed)
	b[len(b)-6] ^= 0xff
	return string(b)
}

func TestFaultsBesideCounts(t *testing.T) {
	for want, text := range map[string]string{
		`y:2: duration "long" in column 6 is not`: strings.Replace(durations3, "5,1,2,3", "5,long,2,3", 1),
		`y:2: memory "-5" in column 5 is not`:     strings.Replace(memory3, "202.5", "-5", 1),
	} {
		if said := fault(t, folder(t, "x", counts3, "y", text)); !strings.Contains(said, want) {
			t.Errorf("%s\nwant %s", said, want)
		}
	}
	tr := open(t, folder(t, "x", counts3, "y", strings.Replace(durations3, "5,1,2,3", "5,9,2,3", 1)), Options{})
	if s := tr.Skipped()[0]; s.Line != 2 || !strings.Contains(s.Reason, "decrease") || tr.Functions()[0].Duration.Known() {
		t.Errorf("percentiles that decrease: %+v", s)
	}
}

func TestFolders(t *testing.T) {
	if said := fault(t, folder(t, "a/x", counts3, "b/x", counts3)); !strings.Contains(said, "b/x: counts in several folders") {
		t.Error(said)
	}
	if said := fault(t, folder(t, "d1", counts3, "d2", strings.Replace(counts3, ",1,2,3", ",1439,1440,1441", 1))); !strings.Contains(said, "minutes up to 1441 in one of several days") {
		t.Error(said)
	}
	two := folder(t, "a", counts3, "b", "app,func,end_timestamp,duration\na,f,1,1\n")
	if said := fault(t, two); !strings.Contains(said, "several formats: [azure2019 azure2021]") {
		t.Error(said)
	}
	tr := open(t, two, Options{Format: Azure2021})
	if s := tr.Skipped(); len(s) != 1 || s[0].File != filepath.Join(two, "a") || tr.Calls() != 1 {
		t.Errorf("%+v", s)
	}
	if _, err := Open(context.Background(), two, Options{Format: "parquet"}); err == nil || !strings.Contains(err.Error(), "allowed") {
		t.Error(err)
	}
	if _, err := Open(context.Background(), filepath.Join(two, "none"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Open(stopped, two, Options{Format: Azure2021}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestOthers: files that are none of ours do not spoil a folder, nor does a link to it.
func TestOthers(t *testing.T) {
	dir := folder(t, "x", counts3, "paper.pdf", "%PDF \"\n\x00\x01", "image", strings.Repeat("\x00", 5<<20), "empty", "", "list", "a,b\n1,2\n")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Skip(err)
	}
	tr := open(t, link, Options{})
	if s := tr.Skipped(); tr.Calls() != 6 || len(s) != 1 || !strings.HasSuffix(s[0].File, "empty") {
		t.Errorf("%d calls, skipped %+v", tr.Calls(), s)
	}
	if said := fault(t, filepath.Join(dir, "list")); !strings.Contains(said, `of no known format: "a, b"`) {
		t.Error(said)
	}
	if said := fault(t, filepath.Join(dir, "image")); !strings.Contains(said, "a line is longer") {
		t.Error(said)
	}
	if said := fault(t, os.DevNull); !strings.Contains(said, "neither a file nor a folder") {
		t.Error(said)
	}
	var s Spread
	if s.UnmarshalText([]byte("random")) != nil || s != SpreadRandom || s.UnmarshalText([]byte("odd")) == nil {
		t.Error(s)
	}
}

func TestScaled(t *testing.T) {
	for text, want := range map[string]time.Duration{"1.5": 1500 * time.Millisecond, "0.0000000015": 2, "0.0000000014": 1, "-0.0000000015": -2, "1e-9": 1, "3.": 3 * time.Second} {
		if got, ok := parseScaled([]byte(text), time.Second); !ok || got != want {
			t.Errorf("%s: %d %t", text, got, ok)
		}
	}
}

func TestNatural(t *testing.T) {
	if natural("d2", "d10") >= 0 || natural("d10", "d2") <= 0 || natural("d02", "d2") == 0 || natural("a", "b") >= 0 || natural("x", "x") != 0 {
		t.Error("d2 comes before d10")
	}
}
