package cloud

import (
	"errors"
	"math/big"
	"regexp"
	"strings"
	"time"
)

// scale is how many decimals an amount has.
const scale = 18

var (
	priceForm = regexp.MustCompile(`^\d{1,9}(\.\d{1,18})?$`)
	// gigabyteSecond is milliseconds × MiB in one GB-second.
	gigabyteSecond = big.NewRat(1000*1024, 1)
	unit           = new(big.Int).Exp(big.NewInt(10), big.NewInt(scale), nil)
)

func parsePrice(text string) (*big.Rat, error) {
	if !priceForm.MatchString(text) {
		return nil, errors.New("not a decimal of up to 18 places")
	}
	price, _ := new(big.Rat).SetString(text)
	return price, nil
}

// rater prices executions as the published price list does.
type rater struct{ gbSecond, request *big.Rat }

// cost returns one execution in units of 10⁻¹⁸, rounded half to even.
func (r rater) cost(billedMs int64, mib int) *big.Int {
	amount := new(big.Rat).SetInt(new(big.Int).Mul(big.NewInt(billedMs), big.NewInt(int64(mib))))
	amount.Quo(amount, gigabyteSecond)
	amount.Mul(amount, r.gbSecond)
	amount.Add(amount, r.request)
	return roundHalfEven(amount.Mul(amount, new(big.Rat).SetInt(unit)))
}

// roundHalfEven rounds an amount that is not negative.
func roundHalfEven(r *big.Rat) *big.Int {
	whole, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	switch rest.Lsh(rest, 1).Cmp(r.Denom()) {
	case 1:
		whole.Add(whole, big.NewInt(1))
	case 0:
		whole.Add(whole, big.NewInt(int64(whole.Bit(0))))
	}
	return whole
}

// decimal writes units of 10⁻¹⁸ as an exact decimal without trailing zeros.
func decimal(units *big.Int) string {
	whole, fraction := new(big.Int).QuoRem(units, unit, new(big.Int))
	digits := fraction.String()
	digits = strings.TrimRight(strings.Repeat("0", scale-len(digits))+digits, "0")
	if digits == "" {
		return whole.String()
	}
	return whole.String() + "." + digits
}

// billedMs rounds an execution up to the millisecond; the least is 1 ms.
func billedMs(execution time.Duration) int64 {
	return max(1, int64((execution+time.Millisecond-1)/time.Millisecond))
}
