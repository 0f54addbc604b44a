package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"

	"github.com/spillway-dev/spillway/config/cluster"
)

// placeFile is locked for the life of a dispatcher.
const placeFile = "place"

// releaseWithin bounds giving the seat back.
const releaseWithin = 5 * time.Second

// openPlace locks a data directory for this dispatcher and returns its name, so that the
// next one there need not wait for one that was killed. The name is of the file as this
// kernel knows it, which has seen to the lock: a copy of the directory, or the same over
// a network from another machine, is another place.
func openPlace(data string) (name string, done func() error, err error) {
	f, err := os.OpenFile(filepath.Join(data, placeFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return "", nil, errors.Join(fmt.Errorf("another server has the data directory %s (%w): stop it, or name another with --data", data, err), f.Close())
	}
	var is unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &is); err != nil {
		return "", nil, errors.Join(fmt.Errorf("name the data directory: %w", err), f.Close())
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		boot = make([]byte, 16)
		_, _ = rand.Read(boot) // does not fail; the next one waits
	}
	sum := sha256.Sum256(fmt.Append(boot, " ", is.Dev, " ", is.Ino))
	return hex.EncodeToString(sum[:8]), f.Close, nil
}

// alone waits until no other dispatcher serves. release lets the next one in.
func alone(ctx context.Context, c *rest.Config, namespace, data string, d *doorstep, log *slog.Logger) (seat *cluster.Seat, release func() error, err error) {
	place, unlock, err := openPlace(data)
	if err != nil {
		return nil, nil, err
	}
	host, _ := os.Hostname()
	seat, err = cluster.TakeSeat(ctx, c, cluster.SeatConfig{Namespace: namespace, Host: cmp.Or(host, "dispatcher"), Place: place, Log: log, Waiting: func(holder string) {
		log.Warn("another dispatcher serves; this one waits until it ends", "lease", namespace+"/"+cluster.SeatName, "holder", holder)
		d.waits.Store(new("waits for " + holder + ", which has the Lease " + namespace + "/" + cluster.SeatName))
	}})
	if err != nil {
		return nil, nil, errors.Join(err, unlock())
	}
	d.waits.Store(nil)
	return seat, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), releaseWithin)
		defer cancel()
		return errors.Join(seat.Release(ctx), unlock())
	}, nil
}
