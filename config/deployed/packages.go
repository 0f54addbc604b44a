package deployed

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/spillway-dev/spillway/durable"
)

// MaxPackage is the most bytes of a package, as a zip file.
const MaxPackage = 256 << 20

// unusedFor is how long a package stays that no function names, from its upload, from
// when it was asked for, and from the end of the last revision that had it: instances
// of that may still be starting.
const unusedFor = time.Hour

var digestForm = regexp.MustCompile(`^sha256:([0-9a-f]{64})$`)

// packagePath is where a package is, seen from the file of a function.
func packagePath(digest string) string {
	return filepath.Join("..", "packages", digestForm.FindStringSubmatch(digest)[1]+".zip")
}

func (s *Store) packages() string { return filepath.Join(s.dir, "packages") }

// HasPackage reports whether the package is here. If it is, it stays for an hour.
func (s *Store) HasPackage(digest string) bool {
	return digestForm.MatchString(digest) && s.inUse(packagePath(digest)) == nil
}

// Package returns where the package with a digest is, and whether it is here.
func (s *Store) Package(digest string) (path string, ok bool) {
	if !digestForm.MatchString(digest) {
		return "", false
	}
	path = filepath.Join(s.functions(), packagePath(digest))
	_, err := os.Stat(path)
	return path, err == nil
}

// inUse lets the hour begin again that a package stays without a function.
func (s *Store) inUse(path string) error {
	now := time.Now()
	return os.Chtimes(filepath.Join(s.functions(), path), now, now)
}

// PutPackage keeps the zip file that content is, if it has the digest. The same
// package twice is not an error.
func (s *Store) PutPackage(digest string, content io.Reader) error {
	if !digestForm.MatchString(digest) {
		return problem("%q is not a digest; allowed: sha256: and 64 lower-case hex digits", digest)
	}
	if err := s.makeDirs(); err != nil {
		return fmt.Errorf("keep a package: %w", err)
	}
	err := durable.Write(filepath.Join(s.functions(), packagePath(digest)), ".next-*", func(file io.Writer) error {
		found, err := copyDigest(file, content)
		if err == nil && found != digest {
			err = problem("the package that arrived is %s, not %s", found, digest)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a package: %w", err)
	}
	return nil
}

func copyDigest(to io.Writer, from io.Reader) (string, error) {
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(to, sum), io.LimitReader(from, MaxPackage+1))
	if err == nil && n > MaxPackage {
		err = problem("the package has more than %d MiB, the most that one may have", MaxPackage>>20)
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), err
}

// Sweep removes what nothing needs at now: packages that no deployed function names and
// no path of others is, and what a crash left half written.
func (s *Store) Sweep(now time.Time, others ...string) error {
	files, err := s.Files()
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, path := range others {
		used[path] = true
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return fmt.Errorf("sweep packages: %w", err)
		}
		o, err := decode(text)
		if err != nil {
			return fmt.Errorf("sweep packages: %s: %w", f, err)
		}
		for _, v := range o.revisions {
			used[filepath.Join(s.functions(), v.Package.Path)] = true
		}
	}
	var all []error
	for _, pattern := range []string{filepath.Join(s.packages(), "*.zip"), filepath.Join(s.packages(), ".next-*"), filepath.Join(s.functions(), ".next-*")} {
		found, _ := filepath.Glob(pattern) // the pattern is ours
		for _, f := range found {
			if info, err := os.Stat(f); err == nil && !used[f] && now.Sub(info.ModTime()) > unusedFor {
				all = append(all, os.Remove(f))
			}
		}
	}
	found, _ := filepath.Glob(filepath.Join(s.packages(), "*.packed"))
	for _, f := range found { // goes with its zip file
		name := packedName.FindStringSubmatch(filepath.Base(f))
		if name == nil {
			continue
		}
		_, gone := os.Stat(filepath.Join(s.packages(), name[1]+".zip"))
		if info, err := os.Stat(f); err == nil && errors.Is(gone, fs.ErrNotExist) && now.Sub(info.ModTime()) > unusedFor {
			all = append(all, os.Remove(f))
		}
	}
	return errors.Join(all...)
}
