package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// quietFor is how long a directory must be quiet before it is read, so that a copy
// of several files is seen whole; readAfter bounds the wait when it never is.
const (
	quietFor  = 200 * time.Millisecond
	readAfter = 2 * time.Second
)

// watchDir sends to changes when *.yaml files of dir change, or dir is replaced,
// until ctx ends. With no dir it does nothing.
func watchDir(ctx context.Context, dir string, changes chan<- struct{}) error {
	if dir == "" {
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		err = watcher.Add(dir)
	}
	if err == nil { // tells when dir itself is replaced, as a mounted ConfigMap is
		err = watcher.Add(filepath.Dir(filepath.Clean(dir)))
	}
	if err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	go func() {
		defer watcher.Close()
		followDir(ctx, watcher, dir, changes)
	}()
	return nil
}

func followDir(ctx context.Context, watcher *fsnotify.Watcher, dir string, changes chan<- struct{}) {
	quiet := time.NewTimer(quietFor)
	quiet.Stop()
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-watcher.Events:
			if !open {
				return
			}
			if !configFile(dir, event.Name) {
				continue
			}
			if since.IsZero() {
				since = time.Now()
			}
			quiet.Reset(min(quietFor, max(0, readAfter-time.Since(since))))
		case _, open := <-watcher.Errors:
			if !open {
				return
			}
			quiet.Reset(quietFor) // events were lost
		case <-quiet.C:
			since = time.Time{}
			_ = watcher.Remove(dir)
			_ = watcher.Add(dir) // it may be another directory by now
			select {
			case changes <- struct{}{}:
			default:
			}
		}
	}
}

// configFile reports whether a change of path can change what is configured.
func configFile(dir, path string) bool {
	dir, path = filepath.Clean(dir), filepath.Clean(path)
	ext := filepath.Ext(path)
	swapped := filepath.Base(path) == "..data" // of a mounted ConfigMap
	return path == dir || filepath.Dir(path) == dir && (swapped || ext == ".yaml" || ext == ".yml" || ext == "")
}

type hangUps struct{ c chan os.Signal }

// notifyHangUp listens for SIGHUP.
func notifyHangUp() hangUps {
	h := hangUps{make(chan os.Signal, 1)}
	signal.Notify(h.c, syscall.SIGHUP)
	return h
}

func (h hangUps) stop() { signal.Stop(h.c) }
