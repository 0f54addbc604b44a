package main

import (
	"reflect"
	"testing"
)

func TestFaultRows(t *testing.T) {
	got := faultRows(&reloaded{Error: "Quota a: is odd\nFunction shop/pay: is odd\nQuota a: is odd\n", Faults: []string{"Function shop/pay: is odd", "Function shop/cart: is odd"}})
	if want := [][]string{{"REFUSED", "Quota a: is odd"}, {"FUNCTION", "Function shop/pay: is odd"}, {"FUNCTION", "Function shop/cart: is odd"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := faultRows(&reloaded{}); got != nil {
		t.Errorf("%q of none", got)
	}
}
