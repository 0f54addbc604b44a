package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/dispatcher"
)

// serverStatus is what serves, and what it holds.
type serverStatus struct {
	Config reloaded        `json:"config"`
	Use    dispatcher.View `json:"use"`
}

func newStatus(s streams) *cobra.Command {
	var admin string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the server serves and what it holds now",
		Long: `Show the configuration that serves, with what was wrong with the latest one and with
single functions; the pools with what runs there; and calls that wait or whose
outcome is not known yet. In a cluster, 'kubectl get functions,pools,quotas' shows
the same from the objects' status.`,
		Example: `  spillway status
  kubectl -n spillway-system exec spillway-0 -- /spillway status`,
		Args: cobra.NoArgs,
	}
	adminFlag(cmd, &admin)
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		use, err := fromAdmin[dispatcher.View](cmd.Context(), admin, "v1", "quota")
		if err != nil {
			return err
		}
		config, err := fromAdmin[reloaded](cmd.Context(), admin, "v1", "config")
		if err != nil {
			return err
		}
		v := serverStatus{*config, *use}
		return output.print(s.out, v, func(w io.Writer) error { return printStatus(w, &v) })
	}
	return cmd
}

// faultRows has a line for each fault, once: of what was refused as a whole, and of
// functions alone.
func faultRows(c *reloaded) (rows [][]string) {
	said := map[string]bool{}
	for _, fault := range c.Faults {
		said[strings.TrimSpace(fault)] = true
	}
	for fault := range strings.Lines(c.Error) {
		if fault = strings.TrimSpace(fault); fault != "" && !said[fault] {
			said[fault] = true
			rows = append(rows, []string{"REFUSED", fault})
		}
	}
	for _, fault := range c.Faults {
		rows = append(rows, []string{"FUNCTION", fault})
	}
	return rows
}

func printStatus(w io.Writer, v *serverStatus) error {
	c := &v.Config
	head := [][]string{
		{"configuration", fmt.Sprintf("generation %d, %.19s, looked at %s", c.Generation, c.Revision, c.At.Format(time.RFC3339))},
		{"calls", fmt.Sprintf("%d in flight, %d waiting, %d with an outcome that is not known yet", v.Use.InFlight, v.Use.Waiting, v.Use.Unknown)},
	}
	if j := v.Use.Jobs; j != (dispatcher.JobsView{}) {
		head = append(head, []string{"jobs", fmt.Sprintf("%d admitted, %d waiting, %d in clouds, %d of which it is not known whether they run", j.Admitted, j.Waiting, j.Cloud, j.Unknown)})
	}
	if err := table(w, head); err != nil {
		return err
	}
	if err := table(w, faultRows(c)); err != nil {
		return err
	}
	for _, warning := range c.Warnings {
		if err := table(w, [][]string{{"warning", warning}}); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	rows := [][]string{{"POOL", "RUNNING", "IDLE", "STARTING", "OF", "STATE"}}
	for _, p := range v.Use.Pools {
		if p.Retired && p.Running == 0 {
			continue
		}
		of, state := fmt.Sprint(p.Slots), "ok"
		if p.Cloud && p.Slots == 0 {
			of = "-"
		}
		if o := p.Offline; o != nil {
			state = fmt.Sprintf("idle capacity: %dm cpu and %d MiB of %dm and %d MiB held", o.HeldMilliCPU, o.HeldMemoryMiB, o.MilliCPU, o.MemoryMiB)
		}
		switch {
		case p.Retired:
			state = "ends: not in the configuration any more"
		case p.Breaker:
			state = "left alone for a while: too many calls failed"
		}
		idle, starting := fmt.Sprint(p.Idle), fmt.Sprint(p.Starting)
		if p.Cloud || p.Offline != nil {
			idle, starting = "-", "-"
		}
		rows = append(rows, []string{p.Name, fmt.Sprint(p.Running), idle, starting, of, state})
	}
	return table(w, rows)
}
