package cloud

import (
	"bytes"
	"compress/gzip"
	"sync"
)

// bomb is 64 MiB of spaces in gzip.
var bomb = sync.OnceValue(func() []byte {
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed) // a level of the package's own
	for range 64 {
		_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<20)) // a buffer takes everything
	}
	_ = w.Close()
	return packed.Bytes()
})
