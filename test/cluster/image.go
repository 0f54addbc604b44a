package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
)

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// archive is an OCI image layout in a tar file. The same content gives the same bytes.
type archive struct {
	out *tar.Writer
	buf bytes.Buffer
}

// blob stores content under its digest.
func (a *archive) blob(mediaType string, content []byte) (descriptor, error) {
	sum := sha256.Sum256(content)
	d := descriptor{MediaType: mediaType, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: len(content)}
	return d, addFile(a.out, "blobs/sha256/"+hex.EncodeToString(sum[:]), 0o644, content)
}

func (a *archive) blobJSON(mediaType string, v any) (descriptor, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	return a.blob(mediaType, content)
}

func addFile(to *tar.Writer, name string, mode int64, content []byte) error {
	err := to.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg, Format: tar.FormatPAX})
	if err != nil {
		return err
	}
	_, err = to.Write(content)
	return err
}

// layer is a root file system of one program, readable by every user, and /tmp.
func layer(program string, content []byte) ([]byte, error) {
	var buf bytes.Buffer
	to := tar.NewWriter(&buf)
	err := errors.Join(
		to.WriteHeader(&tar.Header{Name: "tmp/", Mode: 0o1777, Typeflag: tar.TypeDir, Format: tar.FormatPAX}),
		addFile(to, program, 0o755, content),
		to.Close())
	return buf.Bytes(), err
}

// static refuses programs that need libraries, of which an image has none.
func static(binary string) error {
	f, err := os.Open(binary)
	if err != nil {
		return err
	}
	defer f.Close()
	program, err := elf.NewFile(f)
	if err != nil {
		return fmt.Errorf("%s is no program of Linux: %w", binary, err)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s needs shared libraries, and an image has none; build it with CGO_ENABLED=0", binary)
		}
	}
	return nil
}

// pack makes an image of one static program, which its containers run with args.
// It returns the archive and the digest by which the image can be asked for.
func pack(name, binary string, args []string) (tarball []byte, digest string, err error) {
	if err := static(binary); err != nil {
		return nil, "", err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, "", err
	}
	program := filepath.Base(binary)
	root, err := layer(program, content)
	if err != nil {
		return nil, "", err
	}
	return packLayer(name, root, append([]string{"/" + program}, args...))
}

func packLayer(name string, root []byte, command []string) ([]byte, string, error) {
	a := &archive{}
	a.out = tar.NewWriter(&a.buf)
	layers, err := a.blob(ociLayer, root)
	if err != nil {
		return nil, "", err
	}
	config, err := a.blobJSON(ociConfig, map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": command[:1], "Cmd": command[1:], "Env": []string{"PATH=/"}, "WorkingDir": "/"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layers.Digest}},
	})
	if err != nil {
		return nil, "", err
	}
	manifest, err := a.blobJSON(ociManifest, map[string]any{"schemaVersion": 2, "mediaType": ociManifest, "config": config, "layers": []descriptor{layers}})
	if err != nil {
		return nil, "", err
	}
	return a.finish(name, manifest)
}

// finish names the image twice: as asked, and by its digest.
func (a *archive) finish(name string, manifest descriptor) ([]byte, string, error) {
	repository, _, _ := strings.Cut(name, "@")
	if colon := strings.LastIndexByte(repository, ':'); colon > strings.LastIndexByte(repository, '/') {
		repository = repository[:colon]
	}
	byDigest := repository + "@" + manifest.Digest
	var manifests []descriptor
	for _, known := range []string{name, byDigest} {
		m := manifest
		m.Annotations = map[string]string{"io.containerd.image.name": known}
		manifests = append(manifests, m)
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": ociIndex, "manifests": manifests})
	if err != nil {
		return nil, "", err
	}
	err = errors.Join(addFile(a.out, "index.json", 0o644, index),
		addFile(a.out, "oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)), a.out.Close())
	return a.buf.Bytes(), byDigest, err
}

// image puts an image on the node of a running cluster.
func (c *invocation) image() error {
	if err := c.need(2, "a name and a program"); err != nil {
		return err
	}
	p, err := c.site.running()
	if err != nil {
		return err
	}
	tarball, digest, err := pack(c.args[0], c.args[1], c.args[2:])
	if err != nil {
		return err
	}
	file := c.site.path("images", strings.NewReplacer("/", "_", ":", "_").Replace(digest)+".tar")
	if err := os.WriteFile(file, tarball, 0o644); err != nil {
		return err
	}
	defer os.Remove(file)
	if out, err := p.inside(importImage(file)...).CombinedOutput(); err != nil {
		return fmt.Errorf("put image %s on the node: %w\n%s", c.args[0], err, out)
	}
	_, err = fmt.Fprintln(c.out, digest)
	return err
}

func importImage(file string) []string {
	return []string{"ctr", "--namespace", "k8s.io", "images", "import", file}
}
