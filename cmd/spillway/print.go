package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/cockroachdb/apd/v3"
	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/internal/safetext"
)

// format is the value of -o: one of allowed, the first by default.
type format struct {
	value   string
	allowed []string
}

func (f *format) String() string { return f.value }

func (f *format) Type() string { return "format" }

// Set implements pflag.Value.
func (f *format) Set(text string) error {
	if !slices.Contains(f.allowed, text) {
		return fmt.Errorf("allowed: %s", strings.Join(f.allowed, ", "))
	}
	f.value = text
	return nil
}

// formatFlag adds -o to cmd.
func formatFlag(cmd *cobra.Command, allowed ...string) *format {
	f := &format{allowed[0], allowed}
	cmd.Flags().VarP(f, "output", "o", "form of the output: "+strings.Join(allowed, ", "))
	return f
}

// print writes value as JSON or YAML, or calls text for any other format.
func (f *format) print(w io.Writer, value any, text func(io.Writer) error) error {
	switch f.value {
	case "json", "yaml":
		body, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			return fmt.Errorf("write as %s: %w", f.value, err)
		}
		if f.value == "yaml" {
			body, err = yaml.JSONToYAML(body)
			if err != nil {
				return fmt.Errorf("write as YAML: %w", err)
			}
		}
		_, err = fmt.Fprintln(w, strings.TrimRight(string(body), "\n"))
		return err
	default:
		return text(w)
	}
}

// table writes rows in aligned columns; the first row is the head.
func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, safetext.Line(cell))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// writeCSV writes rows as RFC 4180. A cell that a spreadsheet would take for a
// formula gets a leading apostrophe; numbers keep their sign.
func writeCSV(w io.Writer, rows [][]string) error {
	out := csv.NewWriter(w)
	for _, row := range rows {
		safe := make([]string, len(row))
		for i, cell := range row {
			safe[i] = safetext.Cell(cell)
		}
		if err := out.Write(safe); err != nil {
			return fmt.Errorf("write CSV: %w", err)
		}
	}
	out.Flush()
	return out.Error()
}

// rounded writes a figure with so many decimals.
func rounded(d decimal, places int) string {
	parts, _, err := billing.Apportion([]apd.Decimal{d.Decimal}, places)
	if err != nil {
		return d.Text('f') // beyond what a ledger can hold
	}
	return parts[0].Text('f')
}

// seconds writes milliseconds.
func seconds(ms int64) string {
	return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) + " s"
}

// millis writes microseconds.
func millis(us int64) string {
	return strconv.FormatFloat(float64(us)/1000, 'f', 1, 64) + " ms"
}

// named names an empty key.
func named(key string) string {
	if key == "" {
		return "(none)"
	}
	return key
}
