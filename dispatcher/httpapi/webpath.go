package httpapi

import "strings"

// dotted reports a path in which some reader finds a . or .. segment, or an end before
// its end. A function is given its path as it came, and readers differ: they decode
// once or more often, take \ for /, cut at NUL, and drop what follows a ; of a segment.
func dotted(path string) bool {
	if strings.ContainsAny(path, "%\\\x00") {
		path = decodeAll(path)
	} else if !strings.Contains(path, "/.") {
		return false
	}
	for len(path) > 0 {
		end := strings.IndexAny(path, "/\\")
		if end < 0 {
			end = len(path)
		}
		segment, _, _ := strings.Cut(path[:end], ";")
		if segment == "." || segment == ".." || strings.IndexByte(path[:end], 0) >= 0 {
			return true
		}
		path = path[min(end+1, len(path)):]
	}
	return false
}

// decodeAll undoes the escapes of s, also those that only come about by that.
func decodeAll(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		b = append(b, s[i])
		for n := len(b); n >= 3 && b[n-3] == '%' && isHex(b[n-2]) && isHex(b[n-1]); n = len(b) {
			b = append(b[:n-3], unhex(b[n-2])<<4|unhex(b[n-1]))
		}
	}
	return string(b)
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
