package main

import (
	"archive/zip"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spillway-dev/spillway/config/deployed"
	"github.com/spillway-dev/spillway/internal/safetext"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// tellFrom is the size in bytes from which an upload is announced.
const tellFrom = 8 << 20

// fetchWithin bounds the download of a package.
const fetchWithin = 10 * time.Minute

var sumForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// upload sends the package at path to the server, unless it is there, and returns
// its digest.
func (f *deployFlags) upload(ctx context.Context, s streams, path string) (string, error) {
	sum := strings.TrimPrefix(f.sha256, "sha256:")
	if sum != "" && !sumForm.MatchString(sum) {
		return "", wrongInput("--sha256: %q is not a SHA-256; allowed: 64 lower-case hex digits", f.sha256)
	}
	file, err := os.CreateTemp("", "spillway-package-*.zip")
	if err != nil {
		return "", fmt.Errorf("make room for the package: %w", err)
	}
	defer func() { _, _ = file.Close(), os.Remove(file.Name()) }()
	hash := sha256.New()
	if err := pack(ctx, &bounded{to: io.MultiWriter(file, hash), left: deployed.MaxPackage}, path, sum); err != nil {
		return "", err
	}
	found := hex.EncodeToString(hash.Sum(nil))
	if sum != "" && found != sum {
		return "", wrongInput("%s has the SHA-256 %s, not %s as --sha256 says; nothing was sent", path, found, sum)
	}
	if err := f.checkProgram(file); err != nil {
		return "", err
	}
	return "sha256:" + found, f.put(ctx, s, "sha256:"+found, file)
}

// checkProgram refuses a program that could not be started. Whether it is there is
// the server's to say.
func (f *deployFlags) checkProgram(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read the package: %w", err)
	}
	z, err := zip.NewReader(file, info.Size())
	if err != nil {
		return wrongInput("the package is not a zip file: %w", err)
	}
	program := cmp.Or(f.handler, "bootstrap")
	for _, entry := range z.File {
		if entry.Name == program && entry.Mode()&0o111 == 0 {
			return wrongInput("%s in the package is not executable, so it cannot be started: 'chmod +x' it and pack it again with a tool that keeps modes", program)
		}
	}
	return nil
}

// pack writes the zip file that path is, or is made to.
func pack(ctx context.Context, w io.Writer, path, sum string) error {
	if u, err := url.Parse(path); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		if sum == "" {
			return wrongInput("a package from a URL needs --sha256, so that what runs is what you mean")
		}
		return fetch(ctx, w, u)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return wrongInput("package: %w", err)
	case info.IsDir():
		return zipTree(w, path)
	case !info.Mode().IsRegular() || !strings.HasSuffix(path, ".zip"):
		return wrongInput("package %s is neither a directory nor a .zip file; put a program in a directory of its own, under the name bootstrap", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return wrongInput("package: %w", err)
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}

// fetch downloads what the SHA-256 will be checked of; so redirects are followed.
func fetch(ctx context.Context, w io.Writer, from *url.URL) error {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return wrongInput("package: %w", err)
	}
	resp, err := (&http.Client{Transport: client.Transport}).Do(r)
	if err != nil {
		return fmt.Errorf("download the package: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("download the package: %s answered %s", from.Host, resp.Status)
	}
	_, err = io.Copy(w, resp.Body)
	return err
}

// zipTree writes dir as a zip file, which is the same for the same files.
func zipTree(w io.Writer, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return wrongInput("package: %w", err)
	}
	defer root.Close()
	out := zip.NewWriter(w)
	err = pkgdigest.Files(root.FS(), func(path string, info fs.FileInfo) error {
		header := &zip.FileHeader{Name: path, Method: zip.Deflate}
		header.SetMode(0o644)
		if info.Mode()&0o100 != 0 {
			header.SetMode(0o755)
		}
		entry, err := out.CreateHeader(header)
		if err != nil {
			return err
		}
		file, err := root.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = io.Copy(entry, file)
		return err
	})
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return wrongInput("package %s: %w", dir, err)
	}
	return nil
}

// bounded passes on at most so many bytes.
type bounded struct {
	to   io.Writer
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, wrongInput("the package has more than %d MiB, the most that one may have", deployed.MaxPackage>>20)
	}
	return b.to.Write(p)
}

// put sends file under its digest, unless the server has it.
func (f *deployFlags) put(ctx context.Context, s streams, digest string, file *os.File) error {
	base, err := baseURL("--admin", f.admin)
	if err != nil {
		return err
	}
	at := base.JoinPath("v1", "packages", digest).String()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, at, nil)
	if err != nil {
		return wrongInput("--admin: %w", err)
	}
	resp, _, err := exchange(r)
	if err != nil || resp.StatusCode == http.StatusOK {
		return err
	}
	size, err := file.Seek(0, io.SeekEnd)
	if _, again := file.Seek(0, io.SeekStart); again != nil || err != nil {
		return fmt.Errorf("read the package: %w", errors.Join(err, again))
	}
	if size > tellFrom {
		fmt.Fprintf(s.err, "uploading %d MiB\n", size>>20)
	}
	if r, err = http.NewRequestWithContext(ctx, http.MethodPut, at, io.NopCloser(file)); err != nil {
		return wrongInput("--admin: %w", err)
	}
	r.ContentLength = size
	resp, text, err := exchange(r)
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusUnprocessableEntity, resp.StatusCode == http.StatusRequestEntityTooLarge:
		return wrongInput("%s", safetext.Lines(adminError(resp, text)))
	case resp.StatusCode != http.StatusNoContent:
		return fmt.Errorf("%s", safetext.Lines(adminError(resp, text)))
	}
	return nil
}
