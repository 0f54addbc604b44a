package journal

import (
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// A frame is a record on disk, little-endian:
//
//	length  uint32  of the payload; 0 where nothing was written; mark: no payload
//	crc     uint32  CRC32C of the rest
//	durable uint64  every byte before this position was synced when it was written
//	payload
//
// durable is what tells a torn tail from damage: nothing before it can be torn.
const frameHeader = 16

// mark is the length field of a frame that only carries durable.
const mark = 1 << 31

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	frames     = sync.Pool{New: func() any { return new([]byte) }}
)

func appendFrame(dst, payload []byte, durable int64) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, frameHeader)...)
	dst = append(dst, payload...)
	frame := dst[start:]
	length := uint32(len(payload))
	if length == 0 {
		length = mark
	}
	binary.LittleEndian.PutUint32(frame, length)
	binary.LittleEndian.PutUint64(frame[8:], uint64(durable))
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(frame[8:], castagnoli))
	return dst
}

// readFrame reads the frame at the start of b; a mark has an empty payload. It
// returns a size of 0 where nothing was written, and of -1 where there is no valid
// frame.
func readFrame(b []byte) (payload []byte, durable int64, size int) {
	if len(b) < frameHeader {
		return nil, 0, emptyOr(b)
	}
	length := binary.LittleEndian.Uint32(b)
	if length == 0 {
		return nil, 0, emptyOr(b[:frameHeader])
	}
	if length == mark {
		length = 0
	}
	if length > MaxRecord || int(length) > len(b)-frameHeader {
		return nil, 0, -1
	}
	size = frameHeader + int(length)
	if crc32.Checksum(b[8:size], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, 0, -1
	}
	return b[frameHeader:size], int64(binary.LittleEndian.Uint64(b[8:])), size
}

// emptyOr returns 0 when b is all zeros, else -1.
func emptyOr(b []byte) int {
	for _, c := range b {
		if c != 0 {
			return -1
		}
	}
	return 0
}
