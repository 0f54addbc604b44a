package lambda

import (
	"testing"
	"time"
)

func TestLogsEndpoint(t *testing.T) {
	for endpoint, want := range map[string]string{
		"": "", "https://lambda.us-east-1.amazonaws.com": "", "https://vpce-1.lambda.us-east-1.vpce.amazonaws.com": "", "https://lambda.cn-north-1.amazonaws.com.cn": "",
		"http://127.0.0.1:9001": "http://127.0.0.1:9001", "https://amazonaws.com.example": "https://amazonaws.com.example",
	} {
		got := logsEndpoint(endpoint)
		if got == nil && want != "" || got != nil && *got != want {
			t.Errorf("%q gave %v, want %q", endpoint, got, want)
		}
	}
}

func FuzzExecution(f *testing.F) {
	f.Add("REPORT RequestId: aa-1\tDuration: 395.99 ms\tBilled Duration: 662 ms\tMemory Size: 512 MB\tInit Duration: 265.72 ms\t\n", int64(1795219200000))
	f.Add(`{"type":"platform.report","record":{"requestId":"aa-1","metrics":{"billedDurationMs":1}}}`, int64(0))
	f.Add("REPORT RequestId: -\tBilled Duration: 1 ms", int64(1<<62))
	f.Fuzz(func(t *testing.T, message string, at int64) {
		u, ok := execution(message, time.UnixMilli(at))
		if ok && (u.ProviderID == "" || clip(u.ProviderID) != u.ProviderID || u.BilledMillis <= 0 || u.DurationMicros <= 0 || u.Started.Time().After(time.UnixMilli(at))) {
			t.Errorf("%q at %d gave %+v", message, at, u)
		}
	})
}
