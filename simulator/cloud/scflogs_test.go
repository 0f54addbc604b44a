package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	tcerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	api "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/scf/v20180416"
)

type searched struct {
	*tchttp.BaseResponse
	Response struct {
		Context  string
		ListOver bool
		Results  []struct {
			LogJSON string `json:"LogJson"`
		}
	}
}

// searchCLS asks the log service with the client of SCF, as any of Tencent's can.
func searchCLS(c *api.Client, parameters map[string]any) (*searched, error) {
	q := tchttp.NewCommonRequest("cls", clsVersion, "SearchLog")
	if err := q.SetActionParameters(parameters); err != nil {
		return nil, err
	}
	said := &searched{BaseResponse: &tchttp.BaseResponse{}}
	return said, c.Send(q, said)
}

func topicOf(t *testing.T, c *api.Client, name string) string {
	t.Helper()
	q := api.NewGetFunctionRequest()
	q.FunctionName = &name
	out, err := c.GetFunction(q)
	if err != nil || out.Response.ClsTopicId == nil {
		t.Fatal(err, "no topic")
	}
	return *out.Response.ClsTopicId
}

// TestSCFLogs wants the reports of all executions, of a lost answer too, with what
// the bill says of them.
func TestSCFLogs(t *testing.T) {
	now := newClock()
	s, c := serveSCF(t, Config{Functions: []Function{handled("orders", echo), handled("plain", echo)}, Clock: now.Now})
	for range 4 {
		if _, err := invokeSCF(c, "orders", `{}`); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Inject(Fault{Kind: ResetAfter, Count: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := invokeSCF(c, "orders", `{}`); err == nil {
		t.Fatal("the answer was not lost")
	}
	query := map[string]any{
		"TopicId": topicOf(t, c, "orders"), "From": now.Now().UnixMilli() - 1000, "To": now.Now().UnixMilli(), "SyntaxRule": 1, "Sort": "asc", "Limit": 2,
		"Query": `SCF_FunctionName:"orders" AND SCF_Namespace:"default" AND SCF_Type:Platform AND SCF_Message:Report*`,
	}
	seen := map[string]map[string]string{}
	for over := false; !over; {
		said, err := searchCLS(c, query)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range said.Response.Results {
			var fields map[string]string
			if err := json.Unmarshal([]byte(r.LogJSON), &fields); err != nil {
				t.Fatal(err)
			}
			seen[fields["SCF_RequestId"]] = fields
		}
		if over = said.Response.ListOver; len(said.Response.Results) > 2 || over != (said.Response.Context == "") {
			t.Errorf("%+v", said.Response)
		}
		query["Context"] = said.Response.Context
	}
	bill := s.Bill()
	if len(seen) != 5 || len(bill.Lines) != 5 {
		t.Fatalf("%d of %d executions are in the log", len(seen), len(bill.Lines))
	}
	for _, l := range bill.Lines {
		got := seen[l.RequestID]
		if got["SCF_Duration"] != strconv.FormatInt(l.BilledMs, 10) || !strings.Contains(got["SCF_Message"], fmt.Sprintf(" Memory:%dMB ", l.MiB)) || got["SCF_StatusCode"] != "200" {
			t.Errorf("%+v is logged as %v", l, got)
		}
	}
}

func TestSCFLogsRefuse(t *testing.T) {
	now := newClock()
	_, c := serveSCF(t, Config{Functions: []Function{handled("orders", echo)}, Clock: now.Now})
	good := func() map[string]any {
		return map[string]any{"TopicId": topicOf(t, c, "orders"), "From": 1, "To": now.Now().UnixMilli(), "SyntaxRule": 1, "Sort": "asc", "Query": "SCF_Type:Platform"}
	}
	if said, err := searchCLS(c, good()); err != nil || !said.Response.ListOver || len(said.Response.Results) != 0 {
		t.Errorf("%v: %+v", err, said)
	}
	for key, bad := range map[string]struct {
		value any
		code  string
	}{
		"TopicId": {"00000000-0000-0000-0000-000000000000", "ResourceNotFound.TopicNotExist"}, "From": {now.Now().UnixMilli() + 1, "InvalidParameterValue"},
		"SyntaxRule": {0, "InvalidParameterValue"}, "Sort": {"desc", "InvalidParameterValue"}, "Query": {"* | SELECT 1", "FailedOperation.SyntaxError"},
		"Limit": {1001, "InvalidParameterValue"}, "Context": {"5.5.x", "InvalidParameter.Content"}, "Offset": {1, "UnknownParameter"}, "To": {nil, "MissingParameter"},
	} {
		q := good()
		q[key] = bad.value
		_, err := searchCLS(c, q)
		var said *tcerrors.TencentCloudSDKError
		if !errors.As(err, &said) || said.Code != bad.code {
			t.Errorf("%s=%v: %v, want %s", key, bad.value, err, bad.code)
		}
	}
}

// TestTC3OfTheLogService: a signature is for one service.
func TestTC3OfTheLogService(t *testing.T) {
	now := newClock().Now()
	for version, code := range map[string]string{clsVersion: "AuthFailure.SignatureFailure", scfVersion: ""} {
		r := httptest.NewRequest("POST", "http://scf.example.com/", strings.NewReader("{}"))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-TC-Version", version)
		signTC3(r, "{}", "scf.example.com", testKey, testSecret, now, "content-type", "host")
		got := ""
		if refused := verifyTC3(r, []byte("{}"), now, map[string]string{testKey: testSecret}); refused != nil {
			got = refused.code
		}
		if got != code {
			t.Errorf("signed for scf, version %s: %q, want %q", version, got, code)
		}
	}
}
