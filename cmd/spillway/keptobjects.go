package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
	"github.com/spillway-dev/spillway/durable"
)

// keptObjects is a file of the objects that were good last, for a start while those of
// the cluster have faults. It is not safe for concurrent use.
type keptObjects struct {
	path     string
	revision string // of the platform that they make; "" if this process has not written it
}

func keptIn(data string) keptObjects {
	return keptObjects{path: filepath.Join(data, "objects.jsonl")}
}

// read returns none if there is no file.
func (k *keptObjects) read() ([]config.Object, error) {
	text, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the objects that were good last: %w", err)
	}
	objects, err := cluster.ReadObjects(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.path, err)
	}
	return objects, nil
}

// write keeps the objects of the platform of a revision, if they are others than before.
func (k *keptObjects) write(revision string, objects []config.Object) error {
	if revision == k.revision {
		return nil
	}
	if err := durable.Write(k.path, ".next-*", func(w io.Writer) error { return cluster.WriteObjects(w, objects) }); err != nil {
		return fmt.Errorf("keep the objects that are good: %w", err)
	}
	k.revision = revision
	return nil
}
