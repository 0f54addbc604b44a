package remote

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
	"github.com/spillway-dev/spillway/pools/process/unpack"
)

func (s *Server) servePackage(w http.ResponseWriter, r *http.Request) {
	s.takePackage(w, r, func(stage, digest string, body io.Reader) error {
		return receiveZip(stage, digest, body)
	}, func(err error) {
		s.reply(w, http.StatusUnprocessableEntity, startAnswer{Type: "Spillway.PackageError", Error: bounded(err.Error())})
	})
}

// servePacked takes what the dispatcher has packed from the zip file with the digest. It
// says by sum what its bytes are: that they are those of the digest is its word.
func (s *Server) servePacked(w http.ResponseWriter, r *http.Request) {
	sum := r.PathValue("sum")
	if !isDigest(sum) {
		s.refuse(w, r, http.StatusBadRequest, "the sum is %.80q; allowed: sha256: and 64 hex digits", sum)
		return
	}
	s.takePackage(w, r, func(stage, _ string, body io.Reader) error {
		return receivePacked(stage, sum, body)
	}, func(err error) {
		status := http.StatusBadRequest
		if ownTrouble(err) {
			status = http.StatusInsufficientStorage
		}
		s.refuse(w, r, status, "%s", bounded(err.Error()))
	})
}

// ownTrouble reports that what went wrong says nothing of the bytes that came: no file
// could be written, or they did not come.
func ownTrouble(err error) bool {
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	_, body := errors.AsType[*bodyError](err)
	return path || link || body
}

// bodyError is why a body could not be read to its end.
type bodyError struct{ error }

func (e *bodyError) Unwrap() error { return e.error }

func isDigest(text string) bool {
	name, ok := strings.CutPrefix(text, "sha256:")
	return ok && len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}

// takePackage has receive make the folder "tree" in a directory of its own from what
// comes, and refuse say why that is no good. Nothing of a package that is refused is left.
func (s *Server) takePackage(w http.ResponseWriter, r *http.Request, receive func(stage, digest string, body io.Reader) error, refuse func(error)) {
	began := time.Now()
	digest := r.PathValue("digest")
	if !isDigest(digest) {
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
	folder := filepath.Join(s.packages, strings.TrimPrefix(digest, "sha256:"))
	body := &steady{body: r.Body, to: http.NewResponseController(w), patience: s.patience}
	err := s.stage(folder, func(stage string) error { return receive(stage, digest, body) })
	if err != nil && body.broken != nil {
		err = errors.Join(err, &bodyError{body.broken})
	}
	s.mu.Lock()
	s.fetching = false
	if err == nil {
		s.stored, s.folder, s.unpack = digest, folder, time.Since(began)
	}
	s.mu.Unlock()
	if err != nil {
		refuse(err)
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

// stage has fill make the folder "tree" in a directory that is gone afterwards; it
// becomes folder.
func (s *Server) stage(folder string, fill func(stage string) error) (err error) {
	stage, err := os.MkdirTemp(s.packages, ".stage-")
	if err != nil {
		return fmt.Errorf("receive the package: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	tree := filepath.Join(stage, "tree")
	if err = os.Mkdir(tree, 0o755); err == nil {
		err = fill(stage)
	}
	if err != nil {
		return fmt.Errorf("receive the package: %w", err)
	}
	return os.Rename(tree, folder)
}

// receiveZip spools a zip file, which is read from its end, and verifies it.
func receiveZip(stage, digest string, body io.Reader) error {
	archive, tree := filepath.Join(stage, "zip"), filepath.Join(stage, "tree")
	sum, err := spool(archive, body)
	if err == nil {
		err = unpack.Zip(archive, tree)
	}
	if err != nil || sum == digest {
		return err
	}
	of, err := pkgdigest.Digest(tree) // it may be that of a directory
	if err == nil && of != digest {
		err = fmt.Errorf("the package has the digest %s as a file and %s as a directory, not the pinned %s", sum, of, digest)
	}
	return err
}

// receivePacked unpacks as bytes come, and verifies them before anybody can run them.
func receivePacked(stage, sum string, body io.Reader) error {
	hash := sha256.New()
	bytes := &io.LimitedReader{R: body, N: unpack.MaxPacked}
	err := unpack.Packed(io.TeeReader(bytes, hash), filepath.Join(stage, "tree"))
	if bytes.N == 0 {
		return fmt.Errorf("it has more than %d bytes", unpack.MaxPacked)
	}
	if err != nil {
		return err
	}
	if came := "sha256:" + hex.EncodeToString(hash.Sum(nil)); came != sum {
		return fmt.Errorf("what has come is %s and not %s", came, sum)
	}
	return nil
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
	broken   error
}

func (b *steady) Read(p []byte) (int, error) {
	_ = b.to.SetReadDeadline(time.Now().Add(b.patience))
	n, err := b.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.broken = err
	}
	return n, err
}
