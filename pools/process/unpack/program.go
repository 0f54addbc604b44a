package unpack

import (
	"fmt"
	"os"
	"path/filepath"
)

// Program returns the path of the program of an unpacked package: the file that handler
// names in dir, else "bootstrap".
func Program(dir, handler string) (string, error) {
	for _, name := range []string{handler, "bootstrap"} {
		if name == "" || !filepath.IsLocal(name) {
			continue
		}
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("the package has neither a file %q nor a file \"bootstrap\"", handler)
}
