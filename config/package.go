package config

import (
	"archive/zip"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// digested is the digest of a package that several revisions may share.
type digested struct {
	digest string
	err    error
}

// checkPackage checks that a revision's code is there and is what was pinned,
// and pins what was not.
func (l *loading) checkPackage(s *source, at string, r *v1alpha1.Revision) {
	p := &r.Package
	if s.cluster {
		l.checkUploaded(s, at, p)
		return
	}
	switch {
	case p.Path == "":
		s.fault(at+".path", "is required", "path of a directory or zip file, relative to this file")
	case p.Digest != "" && !digestForm.MatchString(p.Digest):
		s.fault(at+".digest", quoteShort(p.Digest)+" is not a digest", "sha256: and 64 hex digits")
	}
	if s.faulty(at+".path") || s.faulty(at+".digest") {
		return
	}
	abs := s.relative(p.Path)
	if problem := packageProblem(abs); problem != "" {
		s.fault(at+".path", quoteShort(p.Path)+" "+problem, "an existing directory or zip file, relative to this file")
		return
	}
	found := l.digest(abs)
	switch {
	case found.err != nil:
		s.fault(at+".path", found.err.Error(), "")
		return
	case p.Digest != "" && p.Digest != found.digest:
		s.fault(at+".digest", "does not match the content of "+p.Path, found.digest)
	}
	p.Digest = found.digest
	if handler := strings.TrimSuffix(at, "package") + "handler"; !s.faulty(handler) && !holdsFile(abs, r.Handler) {
		s.fault(handler, "there is no file "+quoteShort(r.Handler)+" in the package", "the path of the program in the package")
	}
}

func packageProblem(abs string) string {
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "does not exist"
	case err != nil:
		return "cannot be read: " + bare(err).Error()
	case !info.IsDir() && !info.Mode().IsRegular():
		return "is neither a directory nor a file"
	case info.Mode().IsRegular() && filepath.Ext(abs) != ".zip":
		return "is a file but not a .zip"
	}
	return ""
}

func (l *loading) digest(abs string) digested {
	d, ok := l.digests[abs]
	if !ok {
		d.digest, d.err = l.checks.Digest(abs)
		l.digests[abs] = d
	}
	return d
}

// holdsFile reports whether the package has a file called handler.
func holdsFile(abs, handler string) bool {
	if filepath.Ext(abs) != ".zip" {
		info, err := os.Stat(filepath.Join(abs, handler))
		return err == nil && info.Mode().IsRegular()
	}
	z, err := zip.OpenReader(abs)
	if err != nil {
		return false
	}
	defer z.Close()
	return slices.ContainsFunc(z.File, func(f *zip.File) bool { return path.Clean(f.Name) == path.Clean(handler) })
}

// bare returns what the operating system said, without the path.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
