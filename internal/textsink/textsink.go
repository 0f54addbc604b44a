// Package textsink keeps what programs under test write.
package textsink

import (
	"bytes"
	"sync"
)

// Sink keeps all that is written to it. Its zero value is empty; it is safe for
// concurrent use, so a test may read what a program still writes.
type Sink struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *Sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// String returns what was written so far.
func (s *Sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
