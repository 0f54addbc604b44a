package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func more(verb, value string) error {
	first, second, _ := strings.Cut(value, ",")
	switch verb {
	case "await":
		for {
			if text, err := os.ReadFile(first); err == nil && strings.Contains(string(text), second) {
				return nil
			}
			time.Sleep(50 * time.Millisecond)
		}
	case "hold":
		hold(value)
	case "hog":
		return hog(value)
	case "fill":
		mib, err := strconv.Atoi(second)
		if err != nil {
			return err
		}
		return os.WriteFile(first, make([]byte, mib<<20), 0o600)
	case "id":
		fmt.Fprintln(os.Stdout, os.Getuid())
	case "install":
		return install(value)
	case "forward":
		return forward(first, second)
	default:
		return fmt.Errorf("%s: no such work", verb)
	}
	return nil
}

func hold(url string) {
	for ; ; time.Sleep(100 * time.Millisecond) {
		answer, err := http.Get(url) //nolint:gosec,noctx // a test's
		if err != nil {
			continue
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusNoContent {
			return
		}
	}
}

func hog(value string) error {
	mib, err := strconv.Atoi(value)
	if err != nil {
		return err
	}
	for taken := bytes.Repeat([]byte{1}, mib<<20); ; time.Sleep(time.Second) {
		taken[0]++
	}
}

func install(file string) error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	program, err := os.ReadFile(own)
	if err != nil {
		return err
	}
	return os.WriteFile(file, program, 0o755) //nolint:gosec // a program
}

func forward(port, address string) error {
	l, err := net.Listen("tcp", ":"+port) //nolint:gosec // a test's
	if err != nil {
		return err
	}
	for {
		in, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer in.Close()
			out, err := net.Dial("tcp", address)
			if err != nil {
				return
			}
			defer out.Close()
			go func() { _, _ = io.Copy(out, in); _ = out.(*net.TCPConn).CloseWrite() }()
			_, _ = io.Copy(in, out)
		}()
	}
}

func archive(args []string) error {
	if strings.Contains(args[0], "x") {
		return unpack(args[len(args)-1])
	}
	file := args[len(args)-1]
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	out := tar.NewWriter(os.Stdout)
	if err := out.WriteHeader(&tar.Header{Name: strings.TrimPrefix(file, "/"), Mode: 0o644, Size: int64(len(text))}); err != nil {
		return err
	}
	_, err = out.Write(text)
	return errors.Join(err, out.Close())
}

func unpack(dir string) error {
	for in := tar.NewReader(os.Stdin); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(h.Name)), text, 0o644); err != nil { //nolint:gosec // a test's
			return err
		}
	}
}
