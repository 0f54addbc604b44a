package kube

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// clockSkew is how far the API server's clock may be behind ours for a token that has
// ended by ours to be worth a review.
const clockSkew = 5 * time.Minute

// claims are what a token says of itself. Nothing vouches for them.
type claims struct {
	Expires  float64   `json:"exp"` // seconds since 1970
	Audience audiences `json:"aud"`
}

// audiences are written as one text or as a list.
type audiences []string

func (a *audiences) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		*a = make(audiences, 1)
		return json.Unmarshal(text, &(*a)[0])
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// readClaims reads those of a signed JWT; false if it is none.
func readClaims(token string) (c claims, ok bool) {
	_, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	if signature == "" || strings.Contains(signature, ".") {
		return claims{}, false
	}
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil || json.Unmarshal(text, &c) != nil {
		return claims{}, false
	}
	return c, true
}

// ends is when a token says that it ends; zero if it does not say.
func (c claims) ends() time.Time {
	const last = 253402300799 // the end of 9999
	if !(c.Expires > 0 && c.Expires <= last) {
		return time.Time{}
	}
	return time.Unix(int64(c.Expires), 0)
}

// expiry is when a token says that it ends; zero if it does not say. It is read of
// tokens that the API server has vouched for, and only shortens what is remembered.
func expiry(token string) time.Time {
	c, _ := readClaims(token)
	return c.ends()
}

// reviewable reports that a token says of itself that it is for an audience and has not
// ended. What is said proves nothing; a token that does not say it is never good, so the
// API server need not be asked.
func reviewable(token, audience string, now time.Time) bool {
	c, ok := readClaims(token)
	return ok && slices.Contains(c.Audience, audience) && c.ends().Add(clockSkew).After(now)
}
