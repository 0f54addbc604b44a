package kube

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/spillway-dev/spillway"
)

// ReadLog writes what the instances of a function have written, and as long as it
// follows what they write, line by line: of the pods that are there now.
func (p *Pool) ReadLog(ctx context.Context, function spillway.FunctionKey, tail int, follow bool, write func([]byte) error) error {
	var of []*pod
	p.mu.Lock()
	for _, i := range p.instances {
		if i.started && i.function.FunctionKey == function {
			of = append(of, i.pod)
		}
	}
	p.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var one sync.Mutex // line at a time
	var reading sync.WaitGroup
	for _, w := range of {
		reading.Go(func() {
			err := p.readPod(ctx, w, tail, follow, func(line []byte) error {
				one.Lock()
				defer one.Unlock()
				return write(line)
			})
			if err != nil {
				cancel(err)
			}
		})
	}
	reading.Wait()
	return context.Cause(ctx)
}

// longestLine is where a line of a log is cut.
const longestLine = 64 << 10

func (p *Pool) readPod(ctx context.Context, w *pod, tail int, follow bool, write func([]byte) error) error {
	log, err := p.client.CoreV1().Pods(w.namespace).GetLogs(w.name, &corev1.PodLogOptions{Container: container, Follow: follow, TailLines: new(int64(tail))}).Stream(ctx)
	if apierrors.IsNotFound(err) {
		return nil // it has gone meanwhile
	}
	if err != nil {
		return fmt.Errorf("read the log of pod %s/%s: %w", w.namespace, w.name, err)
	}
	defer log.Close()
	lines := bufio.NewReaderSize(log, longestLine)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			if err := write(line); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, bufio.ErrBufferFull): // it goes on as the next
		case err != nil:
			return fmt.Errorf("read the log of pod %s/%s: %w", w.namespace, w.name, err)
		}
	}
}
