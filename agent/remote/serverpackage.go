package remote

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
	"github.com/spillway-dev/spillway/pools/process/unpack"
)

func (s *Server) servePackage(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	digest := r.PathValue("digest")
	name, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(name) != 64 || strings.Trim(name, "0123456789abcdef") != "" {
		s.refuse(w, r, http.StatusBadRequest, "the digest is %.80q; allowed: sha256: and 64 hex digits", digest)
		return
	}
	switch status, why := s.expect(digest); {
	case status == http.StatusOK:
		s.reply(w, status, struct{}{})
		return
	case status != 0:
		s.refuse(w, r, status, "%s", why)
		return
	}
	folder := filepath.Join(s.packages, name)
	err := s.receive(w, r, digest, folder)
	s.mu.Lock()
	s.fetching = false
	if err == nil {
		s.stored, s.folder, s.unpack = digest, folder, time.Since(began)
	}
	s.mu.Unlock()
	if err != nil {
		s.reply(w, http.StatusUnprocessableEntity, startAnswer{Type: "Spillway.PackageError", Error: bounded(err.Error())})
		return
	}
	s.reply(w, http.StatusOK, struct{}{})
}

// expect makes the agent wait for one package, the only one it ever has. It returns a
// status if it does not: 200 when it has it.
func (s *Server) expect(digest string) (int, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stored == digest:
		return http.StatusOK, ""
	case s.state != StateFresh || s.draining || s.stored != "":
		return http.StatusConflict, fmt.Sprintf("the agent is %s and takes one package in its life", s.state)
	case len(s.config.Command) > 0:
		return http.StatusConflict, "the agent runs the function of its image and takes no package"
	case s.fetching:
		return http.StatusConflict, "a package is on its way to the agent"
	}
	s.fetching = true
	return 0, ""
}

// receive makes folder from the zip file that comes. Nothing of a package that is
// refused is left.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, digest, folder string) (err error) {
	stage, err := os.MkdirTemp(s.packages, ".stage-")
	if err != nil {
		return fmt.Errorf("receive the package: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	archive, tree := filepath.Join(stage, "zip"), filepath.Join(stage, "tree")
	body := &steady{body: r.Body, to: http.NewResponseController(w), patience: s.patience}
	sum, err := spool(archive, body)
	if err == nil {
		err = os.Mkdir(tree, 0o755)
	}
	if err == nil {
		err = unpack.Zip(archive, tree)
	}
	if err != nil {
		return fmt.Errorf("receive the package: %w", err)
	}
	if sum != digest { // it may be that of a directory
		of, err := pkgdigest.Digest(tree)
		if err != nil {
			return err
		}
		if of != digest {
			return fmt.Errorf("the package has the digest %s as a file and %s as a directory, not the pinned %s", sum, of, digest)
		}
	}
	if err := unpack.Publish(tree); err != nil {
		return fmt.Errorf("receive the package: %w", err)
	}
	return os.Rename(tree, folder)
}

// spool writes what comes to path and returns its digest.
func spool(path string, from io.Reader) (string, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(file, sum), io.LimitReader(from, unpack.MaxArchive+1))
	if err == nil && n > unpack.MaxArchive {
		err = fmt.Errorf("the archive has more than %d bytes", unpack.MaxArchive)
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), errors.Join(err, file.Close())
}

// steady is a body of which something has to come every now and then.
type steady struct {
	body     io.Reader
	to       *http.ResponseController
	patience time.Duration
}

func (b *steady) Read(p []byte) (int, error) {
	_ = b.to.SetReadDeadline(time.Now().Add(b.patience))
	return b.body.Read(p)
}
