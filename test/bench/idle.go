package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// idleSection starts a server that has nothing to do.
func idleSection(ctx context.Context, b *bench) error {
	heading("Start and idle memory", "functions", "namespaces", "start to ready ms", "RSS MiB after 3 s", "ready again ms")
	for _, size := range [][2]int{{1, 1}, {10_000, 1_000}} {
		name := fmt.Sprintf("idle%d", size[0])
		config, err := b.platform(name, size[0], size[1], 64)
		if err != nil {
			return err
		}
		up, _, first, err := b.up(ctx, config)
		if err != nil {
			return err
		}
		time.Sleep(3 * time.Second)
		rss := up.rssMiB()
		up.stop()
		up, _, again, err := b.up(ctx, config)
		if err != nil {
			return err
		}
		up.stop()
		row(size[0], size[1], millis(first), fmt.Sprintf("%.1f", rss), millis(again))
		_ = os.RemoveAll(filepath.Join(b.dir, name+"-data"))
	}
	return nil
}
