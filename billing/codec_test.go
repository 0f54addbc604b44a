package billing

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
)

// full is an entry with every field set to a value of its own.
func full(t testing.TB) Entry {
	t.Helper()
	var e Entry
	n := int64(1)
	var set func(v reflect.Value)
	set = func(v reflect.Value) {
		n++
		switch p := v.Addr().Interface().(type) {
		case *time.Time:
			*p = time.Unix(1_700_000_000+n, n).UTC()
			return
		case *apd.Decimal:
			p.SetFinite(1234567890123456789, -18)
			return
		case *Kind:
			*p = KindEstimate
			return
		case *spillway.Reason:
			*p = spillway.ReasonOverflowWait
			return
		case *spillway.OutcomeClass:
			*p = spillway.Unknown
			return
		}
		switch v.Kind() {
		case reflect.String:
			v.SetString(strings.Repeat("x", int(n)))
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int, reflect.Int64:
			v.SetInt(n << 20)
		case reflect.Struct:
			for i := range v.NumField() {
				set(v.Field(i))
			}
		default:
			t.Fatalf("field of kind %v", v.Kind())
		}
	}
	set(reflect.ValueOf(&e).Elem())
	return e
}

func TestEveryFieldIsEncoded(t *testing.T) {
	want := full(t)
	b, err := AppendEntry(nil, &want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeEntry(b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
	}
}

// Journals of before have entries without the cloud function.
func TestFirstVersionIsRead(t *testing.T) {
	b, err := hex.DecodeString("010463616c6c000473686f7000000006726573697a6500066c616d6264610975732d656173742d310000000269640004040002008a80d0e2c6bfce97" +
		"2f000000000000000e0000000000020000000000000012002300000000000000000000000000003039")
	if err != nil {
		t.Fatal(err)
	}
	want := Entry{
		Kind: KindCharge, Invocation: "call", Attempt: 2, Namespace: "shop", Function: "resize", Pool: "lambda", Region: "us-east-1", Cloud: true,
		Admitted: time.Unix(1_700_000_000, 5).UTC(), Usage: spillway.Usage{BilledMillis: 7, ProviderID: "id"}, Outcome: spillway.Executed, Settled: 9,
	}
	want.Amount.SetFinite(12345, -18)
	got, err := DecodeEntry(b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
	b[0] = codecVersion + 1
	if _, err := DecodeEntry(b); !errors.Is(err, ErrMalformed) {
		t.Errorf("a later version: %v", err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	ok := Entry{Kind: KindCharge, Invocation: "i", Attempt: 1}
	for name, change := range map[string]func(*Entry){
		"kind":        func(e *Entry) { e.Kind = "gift" },
		"id":          func(e *Entry) { e.Invocation = "" },
		"attempt":     func(e *Entry) { e.Attempt = 0 },
		"reason":      func(e *Entry) { e.Reason = 200 },
		"outcome":     func(e *Entry) { e.Outcome = 9 },
		"NaN":         func(e *Entry) { e.Amount.Form = apd.NaN },
		"19 decimals": func(e *Entry) { e.Amount.Exponent = -19 },
		"39 digits":   func(e *Entry) { e.Amount.Coeff.Set(pow10(38)); e.Amount.Exponent = -18 },
		"too large":   func(e *Entry) { e.Amount.SetInt64(1); e.Amount.Exponent = 0; e.Amount.Coeff.Set(pow10(20)) },
	} {
		e := ok
		change(&e)
		if _, err := AppendEntry(nil, &e); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ok.Caller = strings.Repeat("c", MaxEncoded)
	if _, err := AppendEntry(nil, &ok); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
}

func FuzzEntry(f *testing.F) {
	e := full(f)
	b, err := AppendEntry(nil, &e)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add(append([]byte{1}, b[1:]...))
	f.Add([]byte{codecVersion})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEntry(b)
		if err != nil {
			return
		}
		first, err := AppendEntry(nil, &e)
		if errors.Is(err, ErrTooLong) {
			return
		}
		if err != nil {
			t.Fatalf("decoded, but %v", err)
		}
		again, err := DecodeEntry(first)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := AppendEntry(nil, &again); err != nil || !bytes.Equal(first, second) {
			t.Fatalf("not stable: %x, then %x, %v", first, second, err)
		}
	})
}

func BenchmarkAppendEntry(b *testing.B) {
	e := full(b)
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		buffer, _ = AppendEntry(buffer[:0], &e)
	}
}
