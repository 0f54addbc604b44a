package v1alpha1

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// quantities has every scalar that may be a number in JSON.
type quantities struct {
	CPU     *MilliCPU `json:"cpu,omitempty"`
	Memory  *Bytes    `json:"memory,omitempty"`
	Amount  *Amount   `json:"amount,omitempty"`
	Decimal Decimal   `json:"decimal,omitempty"`
}

func TestNumbersInJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"cpu":2,"memory":1024,"amount":3,"decimal":12}`:                     `{"cpu":"2","memory":"1Ki","amount":"3.00","decimal":"12"}`,
		`{"cpu":0.5,"amount":0.50,"decimal":0.0000002}`:                       `{"cpu":"500m","amount":"0.50","decimal":"0.0000002"}`,
		`{"cpu":"500m","memory":"1G","amount":"0.5","decimal":"1.10"}`:        `{"cpu":"500m","memory":"1000000000","amount":"0.50","decimal":"1.10"}`,
		`{"memory":9223372036854775807,"amount":9223372036.854775807}`:        `{"memory":"9223372036854775807","amount":"9223372036.854775807"}`,
		`{"cpu":null,"memory":null,"amount":null,"decimal":null}`:             `{}`,
		`{"decimal":"\u0031.5"}`:                                              `{"decimal":"1.5"}`,
		`{"decimal":123456789012345678901234567890.123456789012345678901234}`: `{"decimal":"123456789012345678901234567890.123456789012345678901234"}`,
	} {
		var q quantities
		err := json.Unmarshal([]byte(text), &q)
		got, _ := json.Marshal(q)
		if err != nil || string(got) != want {
			t.Errorf("%s is read as %s, %v; want %s", text, got, err, want)
		}
	}
	for text, words := range map[string]string{
		`{"cpu":-1}`:         `"-1": must not be negative; allowed: cores such as 2 or 0.5`,
		`{"memory":"128MB"}`: `"128MB": not a number of the expected form; allowed: memory such as 128Mi`,
		`{"amount":1e3}`:     `"1e3": not a number of the expected form`,
		`{"decimal":true}`:   `"true": not a number of the expected form`,
		`{"memory":{}}`:      `"{}": not a number of the expected form`,
	} {
		if err := json.Unmarshal([]byte(text), new(quantities)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %s", text, err, words)
		}
	}
}

// TestJSONRoundTrip writes values and reads them again.
func TestJSONRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, math.MaxInt64).Draw(t, "n")
		q := quantities{new(MilliCPU(n)), new(Bytes(n)), new(Amount(n)), Decimal(Amount(n).String())}
		text, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		var again quantities
		if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(again, q) {
			t.Fatalf("%s is read as %+v, %v", text, again, err)
		}
		var number quantities
		if err := json.Unmarshal(fmt.Appendf(nil, `{"memory": %d}`, n), &number); err != nil || *number.Memory != Bytes(n) {
			t.Fatalf("%d is read as %v, %v", n, number.Memory, err)
		}
	})
}

// FuzzJSON reads any JSON; what is read must be written and read again alike.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{`{"cpu":2,"memory":"1Gi","amount":0.5,"decimal":"1.10"}`, `{"cpu":null}`, `{"memory":-1}`, `{"amount":1e30}`, `{"decimal":"\u0031"}`, `{"cpu":[1]}`, `{"decimal":""}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var q, again quantities
		if json.Unmarshal(text, &q) != nil {
			return
		}
		written, err := json.Marshal(q)
		if err == nil {
			err = json.Unmarshal(written, &again)
		}
		if err != nil || !reflect.DeepEqual(q, again) {
			t.Fatalf("%s is written %s, and read %+v, %v", text, written, again, err)
		}
	})
}
