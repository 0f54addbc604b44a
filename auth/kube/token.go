package kube

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// expiry is when a token says that it ends; zero if it does not say. It is read of
// tokens that the API server has vouched for, and only shortens what is remembered.
func expiry(token string) time.Time {
	_, rest, _ := strings.Cut(token, ".")
	claims, _, signed := strings.Cut(rest, ".")
	if !signed {
		return time.Time{}
	}
	text, err := base64.RawURLEncoding.DecodeString(claims)
	if err != nil {
		return time.Time{}
	}
	var c struct {
		Expires float64 `json:"exp"` // seconds since 1970
	}
	const lastYear = 253402300799 // the end of 9999
	if json.Unmarshal(text, &c) != nil || !(c.Expires > 0 && c.Expires <= lastYear) {
		return time.Time{}
	}
	return time.Unix(int64(c.Expires), 0)
}
