package node

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func kubectlRows() []row {
	return []row{
		{"logs --tail, --since-time, --timestamps, --limit-bytes", "", logs},
		{"logs -f", "until the container ends", followed},
		{"logs --previous", "of the container before its restart", previous},
		{"exec", "exit codes and standard input", execute},
		{"attach", "with standard input", attach},
		{"port-forward", "", portForward},
		{"cp", "both ways; needs `tar` in the image, as ever", copies},
		{"top", "`/stats/summary` and `/metrics/resource` of the node, under the pods' own names, for metrics-server", measures},
		{"describe, get events", "where the pod is and what happens to it: `Placed`, `Running`, `Reclaimed`, …", describes},
	}
}

func logs(t *testing.T, w *world) {
	p := w.in(w.start(pod("logs", "print=one", "sleep=5s", "print=two")), corev1.PodSucceeded)
	stamped := strings.Split(strings.TrimSpace(w.must("", "logs", p.Name, "--timestamps")), "\n")
	if len(stamped) != 2 {
		t.Fatalf("%q", stamped)
	}
	second, text, _ := strings.Cut(stamped[1], " ")
	if _, err := time.Parse(time.RFC3339Nano, second); err != nil || text != "two" {
		t.Errorf("%q: %v", stamped, err)
	}
	for _, c := range []struct{ flag, want string }{{"--tail=1", "two\n"}, {"--since-time=" + second, "two\n"}, {"--limit-bytes=2", "on"}, {"--since=1h", "one\ntwo\n"}} {
		if got := w.must("", "logs", p.Name, c.flag); got != c.want {
			t.Errorf("%s: %q, want %q", c.flag, got, c.want)
		}
	}
}

func followed(t *testing.T, w *world) {
	l := w.latch()
	p := w.in(w.start(pod("follow", "print=one", l.hold, "print=two")), corev1.PodRunning)
	cmd := w.Command(t.Context(), w.tool, "-n", "night", "logs", "-f", p.Name)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	l.open()
	rest, failed := io.ReadAll(lines)
	if err := errors.Join(err, failed, cmd.Wait()); err != nil || first != "one\n" || string(rest) != "two\n" {
		t.Errorf("%q, then %q: %v", first, rest, err)
	}
}

func previous(t *testing.T, w *world) {
	p := withData(pod("previous", "fail=/data/once", "sleep=10m")) // what has ended for good is cleared away
	p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	p = w.once(w.start(p), "is restarted", func(p *corev1.Pod) error {
		for _, c := range p.Status.ContainerStatuses {
			if c.RestartCount == 1 && c.State.Running != nil {
				return nil
			}
		}
		return errorf("%+v", p.Status.ContainerStatuses)
	})
	if got := w.must("", "logs", "--previous", p.Name); !strings.Contains(got, "fails for the first time") {
		t.Errorf("%q", got)
	}
}

func execute(t *testing.T, w *world) {
	p := w.in(w.start(pod("exec", "sleep=10m")), corev1.PodRunning)
	if got := w.must("some\nlines\n", "exec", "-i", p.Name, "--", "/work", "echo=lines", "env=HOSTNAME"); got != "some\nlines\nexec\n" {
		t.Errorf("%q", got)
	}
	_, err := w.run("", "exec", p.Name, "--", "/work", "exit=5")
	if ended, ok := errors.AsType[*exec.ExitError](err); !ok || ended.ExitCode() != 5 {
		t.Errorf("%v", err)
	}
}

func attach(t *testing.T, w *world) {
	p := pod("attach", "echo=lines", "print=end")
	p.Spec.Containers[0].Stdin, p.Spec.Containers[0].StdinOnce = true, true
	p = w.in(w.start(p), corev1.PodRunning)
	if got := w.must("said\n", "attach", "-i", "-q", p.Name); !strings.Contains(got, "said\n") {
		t.Errorf("%q", got)
	}
	if got := w.said(w.in(p, corev1.PodSucceeded), corev1.PodLogOptions{}); got != "said\nend\n" {
		t.Errorf("it printed %q", got)
	}
}

func portForward(t *testing.T, w *world) {
	p := w.in(w.start(pod("ports", "serve=8080")), corev1.PodRunning)
	cmd := w.Command(context.Background(), w.tool, "-n", "night", "port-forward", p.Name, ":8080")
	out, err := cmd.StdoutPipe()
	must(t, err)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	must(t, cmd.Start())
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	}()
	line, err := bufio.NewReader(out).ReadString('\n') // Forwarding from 127.0.0.1:PORT -> 8080
	must(t, err)
	words := strings.Fields(line)
	if len(words) < 3 {
		t.Fatalf("%q", line)
	}
	w.until("its port answers", func() error {
		client := http.Client{Timeout: 5 * time.Second, Transport: insecure(w.Dial)}
		defer client.CloseIdleConnections()
		answer, err := client.Get("http://" + words[2] + "/x")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			return err
		}
		return same(string(text), "/x from ports\n")
	})
}

func copies(t *testing.T, w *world) {
	p := pod("copies", "sleep=10m")
	p.Spec.InitContainers = []corev1.Container{small("install", "install=/data/tar")}
	withData(p)
	p.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PATH", Value: "/data"}}
	p = w.in(w.start(p), corev1.PodRunning)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "there"), []byte("text\n"), 0o600))
	w.must("", "cp", filepath.Join(dir, "there"), p.Name+":/data/there")
	w.must("", "cp", p.Name+":/data/there", filepath.Join(dir, "back"))
	if got, err := os.ReadFile(filepath.Join(dir, "back")); err != nil || string(got) != "text\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func measures(t *testing.T, w *world) {
	p := w.in(w.start(pod("measured", "burn=2s", "sleep=10m")), corev1.PodRunning)
	for path, want := range map[string]string{
		"metrics/resource": `container_memory_working_set_bytes{namespace="night",pod="measured",container="main"}`,
		"stats/summary":    string(p.UID),
	} {
		w.until(path+" has the pod", func() error {
			text, err := w.client.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes/" + name + "/proxy/" + path).DoRaw(t.Context())
			if err != nil {
				return err
			}
			if !strings.Contains(string(text), want) {
				return errorf("it has not")
			}
			return nil
		})
	}
}

func describes(t *testing.T, w *world) {
	p := w.in(w.start(pod("described", "sleep=10m")), corev1.PodRunning)
	if e := w.event(p, "Placed"); !strings.Contains(e.Message, "pool offline") {
		t.Errorf("%s", e.Message)
	}
	if e := w.event(p, "Running"); !strings.Contains(e.Message, w.guests(p)[0].Name) {
		t.Errorf("%s", e.Message)
	}
	must(t, w.client.CoreV1().Pods("night").Delete(t.Context(), p.Name, metav1.DeleteOptions{}))
}
