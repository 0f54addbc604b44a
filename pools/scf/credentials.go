package scf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// key is a permanent key of Tencent's. It has no way into a message.
type key struct{ id, secret string }

func (key) String() string   { return "[key]" }
func (key) GoString() string { return "[key]" }

// maxCredentials bounds a credentials file.
const maxCredentials = 64 << 10

var errNoKey = errors.New("want secret_id and secret_key under [default]")

// readCredentials reads a key from where a pool's setting points.
func readCredentials(from string) (key, error) {
	if from == "environment" || from == "" {
		k := key{os.Getenv("TENCENTCLOUD_SECRET_ID"), os.Getenv("TENCENTCLOUD_SECRET_KEY")}
		if !k.usable() {
			return key{}, errors.New("no Tencent credentials from environment: want TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY")
		}
		return k, nil
	}
	path, ok := strings.CutPrefix(from, "file:")
	if !ok {
		return key{}, fmt.Errorf("credentials %q; allowed: environment, file:PATH", from)
	}
	file, err := os.Open(path)
	if err != nil {
		return key{}, fmt.Errorf("credentials: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxCredentials+1))
	if err != nil {
		return key{}, fmt.Errorf("credentials: %w", err)
	}
	k, err := parseCredentials(string(text))
	if err != nil {
		return key{}, fmt.Errorf("no Tencent credentials from %s: %w", path, err)
	}
	return k, nil
}

// parseCredentials reads the [default] section of a credentials file. Errors
// quote nothing of it.
func parseCredentials(text string) (key, error) {
	if len(text) > maxCredentials {
		return key{}, errors.New("the file is over 64 KiB")
	}
	var k key
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, assigns := strings.Cut(line, "=")
		switch name = strings.TrimSpace(name); {
		case strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
		case section != "default" || !assigns:
		case name == "secret_id":
			k.id = strings.TrimSpace(value)
		case name == "secret_key":
			k.secret = strings.TrimSpace(value)
		case name == "token":
			return key{}, errors.New("temporary keys with a token are not supported; want a permanent key")
		}
	}
	if !k.usable() {
		return key{}, errNoKey
	}
	return k, nil
}

// usable reports whether k can stand in a header.
func (k key) usable() bool {
	for _, text := range [2]string{k.id, k.secret} {
		if text == "" || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || c == '/' || c == ',' }) {
			return false
		}
	}
	return true
}
