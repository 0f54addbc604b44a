package scf

import (
	"testing"
	"time"
)

func TestLogsDomain(t *testing.T) {
	for endpoint, want := range map[string]string{
		"": "", "https://scf.tencentcloudapi.com": "cls.tencentcloudapi.com", "https://scf.internal.tencentcloudapi.com": "cls.internal.tencentcloudapi.com",
		"http://127.0.0.1:9001": "", "https://scf.example.com": "",
	} {
		if got := logsDomain(endpoint); got != want {
			t.Errorf("%q gave %q, want %q", endpoint, got, want)
		}
	}
}

func FuzzExecution(f *testing.F) {
	f.Add(`{"SCF_RequestId":"aa-1","SCF_Duration":"12","SCF_StartTime":"1795219200000","SCF_MemUsage":"1e6","SCF_Message":"Report RequestId: aa-1 Duration:12ms Memory:128MB MemUsage:1MB"}`, int64(1795219200500))
	f.Add(`{"SCF_RequestId":"aa-1","SCF_Duration":1.5,"SCF_StartTime":-1}`, int64(0))
	f.Add(`{"SCF_RequestId":"-","SCF_Duration":"1e300"}`, int64(1<<62))
	f.Fuzz(func(t *testing.T, line string, at int64) {
		u, ok := execution(line, at)
		if ok && (u.ProviderID == "" || clip(u.ProviderID) != u.ProviderID || u.BilledMillis <= 0 || u.DurationMicros <= 0 || u.MemoryMiB < 0 || u.Started.Time().After(time.UnixMilli(at))) {
			t.Errorf("%q at %d gave %+v", line, at, u)
		}
	})
}
