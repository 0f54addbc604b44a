package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// custom is an instance: a process that is a client of the custom-runtime API.
type custom struct {
	api     *customAPI
	server  *http.Server
	log     *os.File // what it writes; the process appends
	pid     int
	timeout time.Duration
	memory  int
	scratch string
	exited  chan struct{} // closed when the process is reaped and its group is killed
}

// startCustom starts an instance and waits until it says that it is ready. It
// returns how long that took.
func startCustom(ctx context.Context, f *function, version, region, within string) (runner, time.Duration, *initError) {
	began := time.Now()
	p := &custom{timeout: f.Timeout, memory: f.MiB, exited: make(chan struct{}), api: newCustomAPI()}
	if err := p.launch(f, version, region, within); err != nil {
		os.RemoveAll(p.scratch)
		return nil, time.Since(began), &initError{"ContainerStateExited", err.Error()}
	}
	timer := time.NewTimer(scfInit)
	defer timer.Stop()
	var failed *initError
	select {
	case <-p.api.ready:
		return p, time.Since(began), nil
	case <-p.exited:
		failed = &initError{"ContainerStateExited", "the process ended before it was ready"}
	case <-timer.C:
		failed = &initError{"ContainerStateExited", "the process was not ready in time"}
	case <-ctx.Done():
		failed = &initError{"ContainerStateExited", "the stand-in closed"}
	}
	p.stop()
	return nil, time.Since(began), failed
}

func (p *custom) launch(f *function, version, region, within string) (err error) {
	if p.scratch, err = os.MkdirTemp(within, f.Name+"-"); err != nil {
		return fmt.Errorf("make a scratch directory: %w", err)
	}
	if p.log, err = os.OpenFile(filepath.Join(p.scratch, ".log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return errors.Join(fmt.Errorf("open a port for the runtime API: %w", err), p.log.Close())
	}
	p.server = &http.Server{Handler: p.api, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = p.server.Serve(listener) }() // ends with Close
	line := f.commandLine()
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = f.taskRoot(), p.log, p.log
	cmd.Env = customEnvironment(f, version, region, p.scratch, listener.Addr().(*net.TCPAddr).Port)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go p.supervise(cmd, started)
	if err := <-started; err != nil {
		p.server.Close()
		return errors.Join(fmt.Errorf("start the process: %w", err), p.log.Close())
	}
	return nil
}

// customEnvironment is everything that an instance sees: nothing of ours.
func customEnvironment(f *function, version, region, scratch string, port int) []string {
	return append([]string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=en_US.UTF-8", "TZ=:UTC", "HOME=" + scratch, "TMPDIR=" + scratch,
		"SCF_RUNTIME_API=127.0.0.1", "SCF_RUNTIME_API_PORT=" + strconv.Itoa(port), "_HANDLER=" + f.HandlerName,
		"SCF_FUNCTIONNAME=" + f.Name, "SCF_FUNCTIONVERSION=" + version, "SCF_NAMESPACE=" + f.Namespace,
		"TENCENTCLOUD_REGION=" + region, "USER_CODE_ROOT=" + f.taskRoot(),
	}, f.Env...)
}

// supervise follows the process to its end. Its thread stays as long: a child is
// killed when the thread that forked it ends.
func (p *custom) supervise(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	for errors.Is(unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
		continue
	}
	_ = syscall.Kill(-p.pid, syscall.SIGKILL) // before the reaping frees the number
	_ = cmd.Wait()                            // how it ended does not matter
	p.server.Close()
	close(p.exited)
}

func (p *custom) kill() {
	select {
	case <-p.exited:
	default:
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	}
}

func (p *custom) stop() {
	p.kill()
	<-p.exited
	p.log.Close()
	os.RemoveAll(p.scratch)
}

func (p *custom) run(ctx context.Context, c *call) ending {
	_ = p.log.Truncate(0) // what was written between calls belongs to none
	given, ok := p.api.give(c, p.timeout, p.memory)
	if !ok {
		return ending{gone: true}
	}
	timer := time.NewTimer(p.timeout)
	defer timer.Stop()
	var end ending
	select {
	case <-given.answered:
	case <-p.exited:
		end.gone = true
	case <-timer.C:
		end.timedOut, end.gone = true, true
	case <-ctx.Done():
		end.gone = true
	}
	end.peakBytes = peakOf(p.pid)
	end.peakMiB = (end.peakBytes + 1<<20 - 1) >> 20
	if end.gone {
		p.kill()
		<-p.exited
	}
	end.log = p.tail()
	p.api.take(given, &end)
	if end.gone {
		p.log.Close()
		os.RemoveAll(p.scratch)
	}
	return end
}

// tail is the end of what the process wrote during this call.
func (p *custom) tail() []byte {
	info, err := p.log.Stat()
	if err != nil {
		return nil
	}
	text := make([]byte, min(info.Size(), maxLogTail))
	n, _ := p.log.ReadAt(text, info.Size()-int64(len(text)))
	return text[:n]
}
