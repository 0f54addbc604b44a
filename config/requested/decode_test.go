package requested

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// farZone has a time that can be read and not written, since its zone is a day away.
const farZone = "apiVersion: spillway.dev/v1alpha1\nkind: QuotaRequest\nmetadata: {name: qr-1}\nspec: {quota: team, requester: dev, reason: r}\nstatus: {phase: asked, history: [{at: \"2026-11-01T00:00:00+24:00\", by: dev, what: asked}]}\n"

func TestTimesThatCannotBeKept(t *testing.T) {
	if r, err := decode([]byte(farZone)); err == nil || !strings.Contains(err.Error(), "cannot be written again") {
		t.Errorf("read as %+v (%v)", r, err)
	}
	if _, err := decode([]byte(strings.Replace(farZone, "+24", "+23", 1))); err != nil {
		t.Error(err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("apiVersion: spillway.dev/v1alpha1\nkind: QuotaRequest\nmetadata: {name: qr-1}\nspec: {quota: team, requester: dev, reason: r, nominal: {onPrem: {slots: 8}}}\nstatus: {phase: asked, history: [{at: 2026-11-01T00:00:00Z, by: dev, what: asked}]}\n"))
	f.Add([]byte("kind: QuotaRequest"))
	f.Add([]byte("{"))
	f.Add([]byte(farZone))
	f.Add([]byte("spec: {until: yesterday, budgets: [{}]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := decode(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatalf("it cannot be written again: %v", err)
		}
		same, err := decode(again) // JSON is YAML
		if err != nil || asJSON(t, same) != string(again) {
			t.Errorf("read %s, then %v (%v)", again, same, err)
		}
		_ = Overlays([]v1alpha1.QuotaRequest{*r})
	})
}

// TestTextIsKept as it was said, also where YAML would read something else.
func TestTextIsKept(t *testing.T) {
	s := Open(t.TempDir())
	for i, text := range []string{".inf", ".nan", "1\t", "sale\tin december", "a :\t\t\"", "note:\tsee ticket", "null", "0x1", "- x", "# y", "'", "\u00a0", "2026-11-21"} {
		r := &v1alpha1.QuotaRequest{
			Header: v1alpha1.Header{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindQuotaRequest, Metadata: v1alpha1.Metadata{Name: fmt.Sprintf("qr-%d", i+1)}},
			Spec:   v1alpha1.QuotaRequestSpec{Quota: "team", Requester: text, Reason: text},
		}
		r.Status.Phase = v1alpha1.PhaseAsked
		r.Status.History = []v1alpha1.QuotaEvent{{By: text, What: v1alpha1.PhaseAsked, Comment: text}}
		if err := s.write(r); err != nil {
			t.Fatal(err)
		}
		back, err := s.Read(r.Metadata.Name)
		if err != nil || back.Spec.Reason != text || back.Status.History[0].Comment != text {
			t.Errorf("%q came back as %+v (%v)", text, back, err)
		}
	}
}
