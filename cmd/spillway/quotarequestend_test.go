package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const companySlots = `{"quota": "company", "reason": "r", "nominal": {"onPrem": {"slots": 500}}`

// TestApprovalThatOutlivesAnother is refused: once the other ends, it would not fit.
func TestApprovalThatOutlivesAnother(t *testing.T) {
	a := decidedServer(t)
	approved(t, a, "qr-1", companySlots+`, "until": "2100-01-01T00:00:00Z"}`)
	const more = `{"quota": "team", "reason": "r", "nominal": {"onPrem": {"slots": 300}}`
	code, said := postQuota(t, a, devToken, "", more+`}`)
	if code != http.StatusUnprocessableEntity || !strings.Contains(said, "the limits of qr-2 from 2100-01-01T00:00:00Z on") || !strings.Contains(said, "keeps more than the nominal") {
		t.Errorf("%d %s", code, said)
	}
	approved(t, a, "qr-2", more+`, "until": "2100-01-01T00:00:00Z"}`)
	if teamSlots(a) != 300 {
		t.Errorf("%d slots", teamSlots(a))
	}
}

// TestApprovalJudgesLaterEnds, since other approvals have changed since it was asked for.
func TestApprovalJudgesLaterEnds(t *testing.T) {
	a := decidedServer(t)
	approved(t, a, "qr-1", companySlots+`}`)
	simulated(t, a, "qr-2", `{"quota": "team", "reason": "r", "nominal": {"onPrem": {"slots": 300}}}`)
	approved(t, a, "qr-3", companySlots+`, "until": "2100-01-01T00:00:00Z"}`)
	if code, said := postQuota(t, a, bossToken, "/qr-1/revocation", `{"comment": "to an end"}`); code != http.StatusOK {
		t.Fatal(code, said)
	}
	if code, said := approve(t, a, "qr-2"); code != http.StatusUnprocessableEntity || !strings.Contains(said, "from 2100-01-01T00:00:00Z on") || teamSlots(a) != 4 {
		t.Errorf("%d %s; %d slots", code, said, teamSlots(a))
	}
}

// TestEndThatLeavesAnotherWithoutRoom comes to the second all the same: what does not
// fit any more is a conflict, for later changes and starts, too.
func TestEndThatLeavesAnotherWithoutRoom(t *testing.T) {
	a := decidedServer(t)
	approved(t, a, "qr-1", companySlots+`}`)
	approved(t, a, "qr-2", `{"quota": "team", "reason": "r", "nominal": {"onPrem": {"slots": 300}}}`)
	until := time.Now().Add(10 * time.Second).UTC().Format(time.RFC3339Nano)
	approved(t, a, "qr-3", companySlots+`, "until": "`+until+`"}`)
	if code, said := postQuota(t, a, bossToken, "/qr-1/revocation", `{"comment": "to an end"}`); code != http.StatusOK || slotsOf(a, "company") != 500 {
		t.Fatal(code, said, slotsOf(a, "company"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	followed := make(chan struct{})
	go func() { defer close(followed); a.follow(ctx) }()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for late := time.After(readyWithin); slotsOf(a, "company") != 100; {
		select {
		case <-poll.C:
		case <-late:
			t.Fatalf("%d slots long after the end", slotsOf(a, "company"))
		}
	}
	cancel()
	<-followed
	var view quotaRequestView
	get(t, a, "/v1/quota/requests/qr-2", &view)
	if teamSlots(a) != 4 || view.Applies || !strings.Contains(view.Why, "keeps more than the nominal") {
		t.Errorf("%d slots, shown as %+v", teamSlots(a), view)
	}
	if _, err := a.reloadNow(t.Context()); err != nil {
		t.Errorf("reload: %v", err)
	}
	started, err := withDeployed(t.Context(), a.from, a.loaded)
	if err != nil || started.Conflicts["qr-2"] == "" || started.Conflicts["qr-3"] != "" {
		t.Errorf("start: %+v (%v)", started, err)
	}
	approved(t, a, "qr-4", companySlots+`}`)
	if teamSlots(a) != 300 {
		t.Errorf("%d slots once there is room again", teamSlots(a))
	}
}

// TestDirectoryMustBeGoodAlone, or the server would not start any more.
func TestDirectoryMustBeGoodAlone(t *testing.T) {
	a := decidedServer(t)
	approved(t, a, "qr-1", companySlots+`}`)
	more := strings.Replace(decided, "slots: 4}}", "slots: 300}}", 1)
	if err := os.WriteFile(filepath.Join(dirOf(a), "all.yaml"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := a.reloadNow(t.Context())
	if err == nil || !strings.Contains(err.Error(), "keeps more than the nominal") || !strings.Contains(err.Error(), "qr-1 for Quota company") || teamSlots(a) != 4 {
		t.Errorf("%d slots, %v", teamSlots(a), err)
	}
}

// TestReloadSeesEarlierEnds where the directory is not watched.
func TestReloadSeesEarlierEnds(t *testing.T) {
	a := decidedServer(t)
	if _, err := a.reloadNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-a.live.ends:
	default:
		t.Error("nobody looks again at when what was loaded ends")
	}
}
