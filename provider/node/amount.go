package node

import "strings"

// signs are those of currencies that people write with one; the yen shares the yuan's
// and so keeps its code.
var signs = map[string]string{"CNY": "¥", "USD": "$", "EUR": "€", "GBP": "£"}

// amountOf writes a decimal number of a currency exactly, without zeros at its end: ¥0.8.
func amountOf(number, currency string) string {
	if strings.Contains(number, ".") {
		number = strings.TrimSuffix(strings.TrimRight(number, "0"), ".")
	}
	if sign, ok := signs[currency]; ok {
		return sign + number
	}
	return currency + " " + number
}
