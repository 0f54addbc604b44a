package remote

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Headers of the protocol, each one JSON in ASCII.
const (
	callHeader   = "Spillway-Call"
	endingHeader = "Spillway-Ending"
)

// maxCallHeader bounds a callHeader. A client context of Lambda's has at most 3,583
// bytes before base64; ids are short.
const maxCallHeader = 64 << 10

// callHead comes with every call.
type callHead struct {
	Ticket        ticket `json:"ticket"`
	Invocation    string `json:"invocation"`
	Left          int64  `json:"leftMicros"` // until its deadline: clocks of nodes differ
	ClientContext []byte `json:"clientContext,omitempty"`
	LogTail       bool   `json:"logTail,omitempty"`
	Room          int    `json:"room,omitempty"` // of the caller of a web function
}

// ticket names one call for life: the client that sends it, and its number there.
type ticket struct {
	client string
	number uint64
}

const clientDigits = 16

func newClientName() string {
	b := make([]byte, clientDigits/2)
	_, _ = rand.Read(b) // does not fail
	return hex.EncodeToString(b)
}

func (t ticket) String() string { return t.client + "-" + strconv.FormatUint(t.number, 10) }

// MarshalText implements encoding.TextMarshaler.
func (t ticket) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *ticket) UnmarshalText(text []byte) error {
	client, number, _ := strings.Cut(string(text), "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || len(client) != clientDigits || strings.Trim(client, "0123456789abcdef") != "" {
		return errors.New("a call's ticket is not one: allowed: 16 hex digits, a hyphen and a number")
	}
	*t = ticket{client, n}
	return nil
}

func parseCall(h http.Header) (callHead, error) {
	var c callHead
	text := h.Get(callHeader)
	if len(text) > maxCallHeader {
		return c, fmt.Errorf("%s has %d bytes; allowed: %d", callHeader, len(text), maxCallHeader)
	}
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return c, fmt.Errorf("%s: %w", callHeader, err)
	}
	if c.Ticket.client == "" || c.Invocation == "" || c.Room < 0 {
		return c, fmt.Errorf("%s: ticket and invocation must be there, room must not be negative", callHeader)
	}
	return c, nil
}

// asciiJSON writes v so that it can be a header's value.
func asciiJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // only plain structs of this package are written
	}
	for i := range text {
		if text[i] >= 0x7f {
			return escaped(text, i)
		}
	}
	return text
}

// escaped writes what is not ASCII from at on as JSON escapes it; it can only be in strings.
func escaped(text []byte, at int) []byte {
	out := append(make([]byte, 0, len(text)+64), text[:at]...)
	for rest := text[at:]; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		rest = rest[n:]
		switch {
		case r < 0x7f:
			out = append(out, byte(r))
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
