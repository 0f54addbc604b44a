package dispatcher_test

import (
	"reflect"
	"testing"

	"github.com/spillway-dev/spillway/dispatcher"
)

// TestClear leaves nothing of a Decision behind, whichever fields it has.
func TestClear(t *testing.T) {
	for tries := range dispatcher.MaxAttempts + 1 {
		d := new(dispatcher.Decision)
		v := reflect.ValueOf(d).Elem()
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
		d.Tries = tries
		for i := tries; i < dispatcher.MaxAttempts; i++ {
			d.Attempts[i] = dispatcher.Attempt{} // never made
		}
		d.Clear()
		if !reflect.ValueOf(*d).IsZero() {
			t.Errorf("after %d attempts there is left %+v", tries, *d)
		}
	}
}

// fill makes a value other than zero.
func fill(t *testing.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Interface:
		v.Set(reflect.ValueOf(t))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint8, reflect.Uint16:
		v.SetUint(1)
	default:
		t.Fatalf("no value for a %s", v.Type())
	}
}
