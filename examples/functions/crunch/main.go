// Crunch stands for work of the night. As a program it is what a Job runs; as a Lambda
// function it does, for a pod of that Job, what the arguments of its container say.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

// parts is in how many the work is told.
const parts = 10

// event is a pod whose work is to be done, as far as this function uses it.
type event struct {
	Pod        string `json:"pod"`
	Containers []struct {
		Args []string `json:"args"`
	} `json:"containers"`
}

// answer is how the container would have ended.
type answer struct {
	ExitCode int `json:"exitCode"`
}

func main() {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		lambda.Start(function)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := crunch(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func function(ctx context.Context, e event) (answer, error) {
	if len(e.Containers) != 1 {
		return answer{}, fmt.Errorf("pod %q has %d containers; allowed: one, whose work this is", e.Pod, len(e.Containers))
	}
	if err := crunch(ctx, os.Stdout, e.Containers[0].Args); err != nil {
		fmt.Fprintln(os.Stdout, err)
		return answer{ExitCode: 1}, nil
	}
	return answer{}, nil
}

// crunch takes as long as the arguments say.
func crunch(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("crunch", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	lasts := flags.Duration("for", 60*time.Second, "how long the work takes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *lasts <= 0 {
		return errors.New("-for is not above zero")
	}
	for part := range parts {
		select {
		case <-ctx.Done():
			return fmt.Errorf("told to end after %d of %d parts", part, parts)
		case <-time.After(*lasts / parts):
			fmt.Fprintf(out, "part %d of %d is done\n", part+1, parts)
		}
	}
	return nil
}
