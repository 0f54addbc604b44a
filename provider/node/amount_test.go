package node

import "testing"

func TestAmount(t *testing.T) {
	for _, one := range [][3]string{
		{"0.800000000", "CNY", "¥0.8"}, {"0.000625202", "USD", "$0.000625202"}, {"3.000000000", "EUR", "€3"},
		{"100", "GBP", "£100"}, {"0.000000000", "USD", "$0"}, {"12.50", "JPY", "JPY 12.5"},
	} {
		if got := amountOf(one[0], one[1]); got != one[2] {
			t.Errorf("%s %s is written %q, want %q", one[0], one[1], got, one[2])
		}
	}
}
