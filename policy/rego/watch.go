package rego

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long the directory must be quiet before it is read, so that a
// copy of several files is seen whole; stale bounds the wait when it never is.
const (
	settle = 100 * time.Millisecond
	stale  = 2 * time.Second
)

// Watch reloads whenever the directory changes, until ctx ends; then it returns
// nil. It sees the directory being replaced as a whole, as a mounted ConfigMap
// is. The error says why it cannot watch at all. With the default policy of
// Open("") there is nothing to watch and it only waits for ctx.
func (s *Source) Watch(ctx context.Context) error {
	if s.dir == "" {
		<-ctx.Done()
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching the policy directory %s: %w", s.dir, err)
	}
	defer watcher.Close()
	// The parent tells when the directory itself is replaced, also when it is
	// absent just now.
	if err := watcher.Add(filepath.Dir(filepath.Clean(s.dir))); err != nil {
		return fmt.Errorf("watching the parent of the policy directory %s: %w", s.dir, bare(err))
	}
	if err := watcher.Add(s.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("watching the policy directory %s: %w", s.dir, bare(err))
	}
	_ = s.Reload() // what changed between Open and now; errors went to changed
	s.follow(ctx, watcher)
	return nil
}

// follow turns bursts of events into one reload each.
func (s *Source) follow(ctx context.Context, watcher *fsnotify.Watcher) {
	quiet := time.NewTimer(settle)
	quiet.Stop()
	var since time.Time // of the first event not yet acted on
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-watcher.Events:
			if !open {
				return
			}
			if !s.concerns(event.Name) {
				continue
			}
			if since.IsZero() {
				since = time.Now()
			}
			quiet.Reset(min(settle, max(0, stale-time.Since(since))))
		case _, open := <-watcher.Errors:
			// Events were lost; what they were of is not known, so read it all.
			if !open {
				return
			}
			quiet.Reset(settle)
		case <-quiet.C:
			since = time.Time{}
			// The watch may be of a directory that was moved away, or gone. When there
			// is none to watch now, the parent tells of the next.
			_ = watcher.Remove(s.dir)
			_ = watcher.Add(s.dir)
			_ = s.Reload() // its callers hear of it through changed
		}
	}
}

// concerns reports whether a path is in the directory, or is it. The parent is
// watched too and tells of its other children.
func (s *Source) concerns(path string) bool {
	dir, path := filepath.Clean(s.dir), filepath.Clean(path)
	return path == dir || filepath.Dir(path) == dir
}
