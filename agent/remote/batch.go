package remote

import (
	"bufio"
	"net"
)

// batchSize is how much passes between a connection and the kernel at once, in bytes,
// where much passes. TLS alone does that record by record, of 16 KiB.
const batchSize = 64 << 10

// batched is a connection below TLS whose writer can hold back what it writes until it is
// enough. Its owner writes from one goroutine while it does.
type batched struct {
	net.Conn
	held *bufio.Writer // nil: nothing is held back
}

// hold holds back what is written until release.
func (b *batched) hold() { b.held = bufio.NewWriterSize(b.Conn, batchSize) }

// release writes what is held back.
func (b *batched) release() error {
	held := b.held
	b.held = nil
	return held.Flush()
}

// Write writes p, or keeps it.
func (b *batched) Write(p []byte) (int, error) {
	if b.held != nil {
		return b.held.Write(p)
	}
	return b.Conn.Write(p)
}

// batchListener accepts connections that are read in large parts.
type batchListener struct{ net.Listener }

// Accept waits for the next connection.
func (l batchListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &readAhead{c, bufio.NewReaderSize(c, batchSize)}, nil
}

// readAhead is a connection below TLS, whose reader wants a few bytes at a time.
type readAhead struct {
	net.Conn
	br *bufio.Reader
}

// Read reads what has come.
func (c *readAhead) Read(p []byte) (int, error) { return c.br.Read(p) }
