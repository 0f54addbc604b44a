package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/spillway-dev/spillway/internal/safetext"
)

func newLogs(s streams) *cobra.Command {
	var admin string
	var follow bool
	var tail int
	cmd := &cobra.Command{
		Use:   "logs NAMESPACE/FUNCTION",
		Short: "Show what a function wrote, and with -f what it writes",
		Long: `Show what the function's instances on this server wrote to standard output and
standard error. What it writes in a cloud is in that cloud's own log service;
'spillway invoke --log' shows the end of one call wherever it ran.

With -f it goes on until Ctrl-C or the end of the server. On a terminal, control
characters are shown as dots.`,
		Example: `  spillway logs shop/hello
  spillway logs shop/hello -f --tail 0`,
		Args: exactly("NAMESPACE/FUNCTION"),
	}
	adminFlag(cmd, &admin)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes")
	cmd.Flags().IntVar(&tail, "tail", 100, fmt.Sprintf("`lines` of the past, up to %d", maxTail))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := functionKey(args[0])
		if err != nil {
			return err
		}
		base, err := baseURL("--admin", admin)
		if err != nil {
			return err
		}
		at := base.JoinPath("v1", "functions", key.Namespace, key.Name, "logs")
		at.RawQuery = url.Values{"tail": {strconv.Itoa(tail)}, "follow": {strconv.FormatBool(follow)}}.Encode()
		return streamLog(cmd.Context(), s, at)
	}
	return cmd
}

// streamLog copies the log at a URL until it ends or ctx does.
func streamLog(ctx context.Context, s streams, at *url.URL) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return wrongInput("--admin: %w", err)
	}
	resp, err := client.Do(r)
	if err != nil {
		return unreachable(at, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		said := safetext.Lines(adminError(resp, text))
		if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusUnprocessableEntity {
			return wrongInput("%s", said)
		}
		return fmt.Errorf("%s", said)
	}
	if err := copyLog(s.out, resp.Body); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read the log: %w", err)
	}
	return nil
}

// copyLog leaves the text as it is unless a terminal would act on it.
func copyLog(w io.Writer, log io.Reader) error {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		_, err := io.Copy(w, log)
		return err
	}
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			fmt.Fprintln(w, safetext.Line(strings.TrimRight(line, "\r\n")))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
