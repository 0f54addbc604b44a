package deployed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/durable"
	"github.com/spillway-dev/spillway/pools/process/unpack"
)

// DefaultPacked is how many bytes packed packages may have together.
const DefaultPacked = 2 << 30

// Packs keeps packages as they are sent to agents (unpack.Pack), beside the zip files:
//
//	<dir>/packages/<digest of the zip file>-<digest of this>.packed
//
// They are made from zip files that were verified, one at a time, and are bounded in
// bytes: the one that was used least recently goes. What is read often the kernel keeps in
// memory. It is safe for concurrent use.
type Packs struct {
	store *Store
	limit int64
	log   *slog.Logger

	work sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	has     map[string]*packed // by digest
	bytes   int64
	queue   []spillway.Package
	queued  map[string]bool      // also the one that is being made
	unfit   map[string]time.Time // when they could not be packed: their zip files are sent
	running bool                 // somebody works at the queue
}

type packed struct {
	sum  string
	size int64
	used time.Time
}

const (
	// maxUnfit bounds what is remembered of packages that cannot be packed, and tryAgain
	// is after what time that is tried again.
	maxUnfit = 10_000
	tryAgain = 10 * time.Minute
)

var packedName = regexp.MustCompile(`^([0-9a-f]{64})-([0-9a-f]{64})\.packed$`)

// Packs finds what was packed before. Of all packed packages together limit bytes stay.
// log, which may be nil, is told of those that cannot be packed.
func (s *Store) Packs(limit int64, log *slog.Logger) (*Packs, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Packs{store: s, limit: limit, log: log, has: map[string]*packed{}, queued: map[string]bool{}, unfit: map[string]time.Time{}}
	found, err := os.ReadDir(s.packages())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for packed packages: %w", err)
	}
	for _, f := range found {
		m := packedName.FindStringSubmatch(f.Name())
		if m == nil {
			continue
		}
		if info, err := f.Info(); err == nil {
			p.add("sha256:"+m[1], &packed{"sha256:" + m[2], info.Size(), info.ModTime()})
		}
	}
	return p, nil
}

// Pack begins to pack a package, unless that was done, so that its first instance finds it.
func (p *Packs) Pack(pkg spillway.Package) {
	p.mu.Lock()
	defer p.mu.Unlock()
	failed, some := p.unfit[pkg.Digest]
	if p.closed || !digestForm.MatchString(pkg.Digest) || p.has[pkg.Digest] != nil || p.queued[pkg.Digest] || some && time.Since(failed) < tryAgain {
		return
	}
	p.queued[pkg.Digest] = true
	p.queue = append(p.queue, pkg)
	if !p.running {
		p.running = true
		p.work.Go(p.run)
	}
}

// Open returns a package as it is sent, with the digest of these bytes and their number.
// Nil: it is not packed yet, which begins now, and its zip file has to be sent.
func (p *Packs) Open(pkg spillway.Package) (file *os.File, sum string, size int64) {
	p.mu.Lock()
	has := p.has[pkg.Digest]
	if has == nil {
		p.mu.Unlock()
		p.Pack(pkg)
		return nil, "", 0
	}
	has.used = time.Now()
	p.mu.Unlock()
	path := p.path(pkg.Digest, has.sum)
	file, err := os.Open(path)
	if err == nil {
		err = os.Chtimes(path, time.Time{}, has.used) // for the next run
	}
	if err != nil { // it was swept
		if file != nil {
			_ = file.Close()
		}
		p.Forget(pkg, has.sum)
		return nil, "", 0
	}
	return file, has.sum, has.size
}

// Forget takes away what was packed with this sum, as an agent has found it bad. It is
// packed again when it is needed again.
func (p *Packs) Forget(pkg spillway.Package, sum string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if has := p.has[pkg.Digest]; has != nil && has.sum == sum {
		p.drop(pkg.Digest)
	}
}

// Close returns when nothing is being packed any more, or with an error when ctx ends.
func (p *Packs) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed, p.queue = true, nil
	p.mu.Unlock()
	idle := make(chan struct{})
	go func() { p.work.Wait(); close(idle) }()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a package is being packed still: %w", context.Cause(ctx))
	}
}

func (p *Packs) path(digest, sum string) string {
	return filepath.Join(p.store.packages(), strings.TrimPrefix(digest, "sha256:")+"-"+strings.TrimPrefix(sum, "sha256:")+".packed")
}

// drop takes a packed package away; mu is held.
func (p *Packs) drop(digest string) {
	has := p.has[digest]
	p.bytes -= has.size
	delete(p.has, digest)
	_ = os.Remove(p.path(digest, has.sum)) // the next sweep finds what stays
}

// add notes a packed package and makes room for it; mu is held, or nobody else has p.
func (p *Packs) add(digest string, new *packed) {
	if has := p.has[digest]; has != nil {
		if has.sum == new.sum {
			return
		}
		p.drop(digest)
	}
	p.has[digest], p.bytes = new, p.bytes+new.size
	for p.bytes > p.limit {
		oldest := ""
		for d, has := range p.has {
			if oldest == "" || has.used.Before(p.has[oldest].used) {
				oldest = d
			}
		}
		p.drop(oldest)
	}
}

// run packs what is in the queue.
func (p *Packs) run() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 {
		pkg := p.queue[0]
		p.queue = p.queue[1:]
		p.mu.Unlock()
		made, err := p.make(pkg)
		p.mu.Lock()
		delete(p.queued, pkg.Digest)
		if err == nil {
			p.add(pkg.Digest, made)
			continue
		}
		p.log.Warn("a package cannot be packed for agents, its zip file is sent", "package", pkg.Path, "error", err)
		if len(p.unfit) >= maxUnfit {
			clear(p.unfit)
		}
		p.unfit[pkg.Digest] = time.Now()
	}
	p.running = false
}

// make packs a zip file that has the digest, and no other.
func (p *Packs) make(pkg spillway.Package) (*packed, error) {
	archive, err := os.Open(pkg.Path)
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	found, err := copyDigest(io.Discard, archive)
	if err != nil {
		return nil, err
	}
	if found != pkg.Digest {
		return nil, fmt.Errorf("the package is %s, not %s", found, pkg.Digest)
	}
	info, err := archive.Stat()
	if err != nil {
		return nil, err
	}
	if err := p.store.makeDirs(); err != nil {
		return nil, err
	}
	sum := sha256.New()
	aside, err := durable.Aside(p.store.packages(), ".next-*", func(to io.Writer) error {
		return unpack.Pack(io.MultiWriter(to, sum), archive, info.Size())
	})
	if err != nil {
		return nil, err
	}
	made := &packed{sum: "sha256:" + hex.EncodeToString(sum.Sum(nil)), used: time.Now()}
	if info, err = os.Stat(aside); err == nil {
		made.size = info.Size()
		err = durable.Rename(aside, p.path(pkg.Digest, made.sum))
	}
	if err != nil && !errors.Is(err, durable.ErrUnsynced) {
		return nil, errors.Join(err, os.Remove(aside))
	}
	return made, nil
}
