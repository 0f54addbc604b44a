// Command work is what the pods of tests run. Each argument is done in turn:
//
//	print=TEXT     to standard output
//	warn=TEXT      to standard error
//	env=NAME       the value of a variable
//	cat=FILE       what is in a file
//	write=FILE     makes a file
//	echo=lines     standard input to standard output, until it ends
//	burn=DURATION  keeps a core busy
//	sleep=DURATION
//	serve=PORT     answers HTTP, for ever
//	post=URL       tells a server, which must answer 204
//	hold=URL       asks a server, until it answers 204
//	fail=FILE      exits with 1 the first time, and makes the file
//	exit=CODE
//	await=FILE,TEXT  until TEXT is in the file
//	hog=MIB          takes memory and writes to it
//	fill=FILE,MIB    makes a file of that size
//	id=user          the number of the user
//	install=FILE     makes the file this program
//	forward=PORT,HOST:PORT  passes connections on, for ever
//
// Under the name tar it packs and unpacks as 'kubectl cp' has it do.
//
// On SIGTERM it says so and exits with 0, which a job that is cut short must not
// succeed by; with stubborn=yes before, it goes on.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if filepath.Base(os.Args[0]) == "tar" {
		if err := archive(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	stubborn := false
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	go func() {
		for range told {
			fmt.Fprintln(os.Stdout, "told to end")
			if !stubborn {
				os.Exit(0)
			}
		}
	}()
	for _, argument := range os.Args[1:] {
		verb, value, _ := strings.Cut(argument, "=")
		if verb == "stubborn" {
			stubborn = true
			continue
		}
		if err := do(verb, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func do(verb, value string) error {
	switch verb {
	case "print":
		fmt.Fprintln(os.Stdout, value)
	case "warn":
		fmt.Fprintln(os.Stderr, value)
	case "env":
		fmt.Fprintln(os.Stdout, os.Getenv(value))
	case "cat":
		text, err := os.ReadFile(value)
		fmt.Fprintf(os.Stdout, "%s\n", text)
		return err
	case "write":
		return os.WriteFile(value, []byte("written\n"), 0o600)
	case "echo":
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	case "burn", "sleep":
		return pass(verb, value)
	case "serve":
		return http.ListenAndServe(":"+value, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // a test's
			fmt.Fprintf(w, "%s from %s\n", r.URL.Path, os.Getenv("HOSTNAME"))
		}))
	case "post":
		answer, err := http.Post(value, "text/plain", nil) //nolint:gosec,noctx // a test's
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusNoContent {
			return fmt.Errorf("%s: %s", value, answer.Status)
		}
	case "fail":
		if _, err := os.Stat(value); err == nil {
			return nil
		}
		if err := os.WriteFile(value, nil, 0o600); err != nil {
			return err
		}
		return fmt.Errorf("fails for the first time")
	case "exit":
		code, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		os.Exit(code)
	default:
		return more(verb, value)
	}
	return nil
}

func pass(verb, value string) error {
	d, err := time.ParseDuration(value)
	if err != nil {
		return err
	}
	if verb == "sleep" {
		time.Sleep(d)
		return nil
	}
	for end := time.Now().Add(d); time.Now().Before(end); { //nolint:revive // it is to be busy
	}
	return nil
}
