package remote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/spillway-dev/spillway/pools"
)

// A web exchange is a sequence of frames in the body of a request and of its answer:
// a kind, four bytes of length, and as many bytes.
//
//	to the agent    head, then the body as data, end; broken if the body broke off
//	from the agent  inform and proceed any number of times, head, data, ending
//
// So method, path and header of a function's requests never meet those of ours, and
// an ending can come after any answer.
const (
	frameHead    = 'H'
	frameData    = 'D'
	frameEnd     = 'E' // of a request's body, with its trailer
	frameBroken  = 'X' // the caller broke off its body
	frameInform  = 'I' // an interim answer
	frameProceed = 'C' // the function wants the body that it was asked to expect
	frameEnding  = 'Z'
)

const (
	frameRoom = 5 // before a frame's bytes
	// maxHead bounds a head in bytes; what functions send is bounded by package agent.
	maxHead = 4 << 20
	// maxData bounds what is passed on at once. A body that is there already is one frame.
	maxData  = 64 << 10
	maxFrame = pools.MaxPayload
)

var errFrames = errors.New("frames of a web exchange cannot be read")

// appendFrame adds a frame with the parts of its bytes.
func appendFrame(b []byte, kind byte, parts ...[]byte) []byte {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	b = binary.BigEndian.AppendUint32(append(b, kind), uint32(size))
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// readFrameHead returns io.EOF only before the first byte.
func readFrameHead(r io.Reader) (kind byte, size int, err error) {
	var head [frameRoom]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	limit := uint32(maxHead)
	if head[0] == frameData {
		limit = maxFrame
	}
	if n > limit {
		return 0, 0, fmt.Errorf("%w: %d bytes of kind %q; allowed: %d", errFrames, n, head[0], limit)
	}
	return head[0], int(n), nil
}

// readBytes reads what follows a frame's head, trusting size no further than bytes come.
func readBytes(r io.Reader, size int) ([]byte, error) {
	var b []byte
	for len(b) < size {
		part := min(size-len(b), 64<<10)
		b = slices.Grow(b, part)
		n, err := io.ReadFull(r, b[len(b):len(b)+part])
		b = b[:len(b)+n]
		if err != nil {
			return nil, noEOF(err)
		}
	}
	return b, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// webHead is a request to a web function on its way.
type webHead struct {
	method, target, host string
	header               http.Header
	streams              bool // its body follows as it comes; else as one frame
	expect               bool
	length               int64 // of a body that streams; -1 if not known
}

func (h *webHead) append(b []byte) []byte {
	b = appendText(b, h.method)
	b = appendText(b, h.target)
	b = appendText(b, h.host)
	b = append(b, boolByte(h.streams)|boolByte(h.expect)<<1)
	b = binary.AppendVarint(b, h.length)
	return appendHeader(b, h.header)
}

func parseWebHead(b []byte) (webHead, error) {
	f := fields{b: b}
	h := webHead{method: f.text(), target: f.text(), host: f.text()}
	flags := f.byte()
	h.streams, h.expect = flags&1 != 0, flags&2 != 0
	h.length = f.int()
	h.header = f.header()
	if err := f.end(); err != nil {
		return webHead{}, err
	}
	if h.method == "" || h.target == "" || h.length < -1 {
		return webHead{}, fmt.Errorf("%w: a request without method or target, or of a negative length", errFrames)
	}
	return h, nil
}

// answerHead is the head of an answer, also of an interim one.
type answerHead struct {
	status int
	whole  bool // its body is the one frame that follows
	header http.Header
}

func (h *answerHead) append(b []byte) []byte {
	b = binary.AppendVarint(b, int64(h.status))
	b = append(b, boolByte(h.whole))
	return appendHeader(b, h.header)
}

func parseAnswerHead(b []byte) (answerHead, error) {
	f := fields{b: b}
	h := answerHead{status: int(f.int()), whole: f.byte()&1 != 0, header: f.header()}
	if err := f.end(); err != nil {
		return answerHead{}, err
	}
	if h.status < 100 || h.status > 999 {
		return answerHead{}, fmt.Errorf("%w: status %d", errFrames, h.status)
	}
	return h, nil
}

// webEnding is what follows an answer, or stands for one.
type webEnding struct {
	ending  []byte // JSON
	payload []byte // an error as Lambda writes it
	trailer http.Header
}

func (e *webEnding) append(b []byte) []byte {
	b = appendText(b, string(e.ending))
	b = appendText(b, string(e.payload))
	return appendHeader(b, e.trailer)
}

func parseWebEnding(b []byte) (webEnding, error) {
	f := fields{b: b}
	e := webEnding{ending: []byte(f.text()), payload: []byte(f.text()), trailer: f.header()}
	return e, f.end()
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendHeader(b []byte, h http.Header) []byte {
	b = binary.AppendUvarint(b, uint64(len(h)))
	for name, values := range h {
		b = appendText(b, name)
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, v := range values {
			b = appendText(b, v)
		}
	}
	return b
}

// fields reads what append wrote. After a fault everything is empty, and end says so.
type fields struct {
	b   []byte
	bad bool
}

func (f *fields) fail() { f.b, f.bad = nil, true }

func (f *fields) end() error {
	if f.bad || len(f.b) > 0 {
		return errFrames
	}
	return nil
}

func (f *fields) uint() uint64 {
	v, n := binary.Uvarint(f.b)
	if n <= 0 {
		f.fail()
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) int() int64 {
	v, n := binary.Varint(f.b)
	if n <= 0 {
		f.fail()
		return 0
	}
	f.b = f.b[n:]
	return v
}

func (f *fields) byte() byte {
	if len(f.b) == 0 {
		f.fail()
		return 0
	}
	b := f.b[0]
	f.b = f.b[1:]
	return b
}

func (f *fields) text() string {
	n := f.uint()
	if n > uint64(len(f.b)) {
		f.fail()
		return ""
	}
	s := string(f.b[:n])
	f.b = f.b[n:]
	return s
}

// header returns nil for an empty one.
func (f *fields) header() http.Header {
	names := f.uint()
	if names > uint64(len(f.b)) {
		f.fail()
	}
	if f.bad || names == 0 {
		return nil
	}
	h := make(http.Header, names)
	for range names {
		name := f.text()
		count := f.uint()
		if count > uint64(len(f.b)) {
			f.fail()
		}
		if f.bad {
			return nil
		}
		values := make([]string, 0, count)
		for range count {
			values = append(values, f.text())
		}
		h[name] = values
	}
	return h
}
