package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/config/fromjob"
	"github.com/spillway-dev/spillway/internal/safetext"
)

type importFlags struct {
	fromjob.Options
	config, kubeconfig string
	duration           time.Duration
}

func newImport(s streams) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Make a function of a Kubernetes Job or CronJob",
		Long: `Read a Job or CronJob and write the Function that does its work; of a CronJob also
the account and the CronJob that calls it, by 'spillway invoke'. The objects go to
standard output, what is different to standard error: what a developer must write,
what changes for those who run it, and what a run costs. Nothing is applied.

Use it for short work that runs often: a function that is started answers in
milliseconds, where a Job's pod is scheduled and started each time. What runs longer
than 15 minutes, has volumes or several containers stays a Job; it can run on idle
capacity as it is (docs/offline-jobs.md). Exit code 1 means that it must: every
reason is named. Exit code 2 means that flags are needed, all of which are named. Of a
file with other objects the one Job or CronJob is read.

No tool can make a function of an image: the program must speak the Lambda Runtime
API, and take from an event what it now takes from its command.

Prices are those of --config, a directory as 'spillway validate' reads it. How long a
run takes is what Jobs of that name took in the cluster of --kubeconfig, with their wait
for a place, or --duration; otherwise the longest that it may.`,
		Example: `  spillway import report.yaml --namespace shop > function.yaml
  spillway import nightly.yaml --caller-image registry/spillway@sha256:… --config platform/
  kubectl -n shop get job report -o yaml | spillway import - -o json --kubeconfig ~/.kube/config`,
		Args: exactly("FILE, or - for standard input"),
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.Namespace, "namespace", "n", "default", "`namespace` of a Job that names none")
	flags.StringVar(&f.Image, "image", "", "`image` in place of the container's, NAME@sha256:…")
	flags.StringVar(&f.Handler, "handler", "", "absolute `path` of the function's program in the image; by default the container's command")
	flags.DurationVar(&f.Timeout, "timeout", 0, "longest `time` of a run, up to 15m; by default the Job's activeDeadlineSeconds")
	flags.StringVar(&f.Caller, "caller-image", "", "`image` that has the command spillway; needed for a CronJob")
	flags.StringVar(&f.Server, "server", "http://spillway.spillway-system", "`URL` of the front door, as pods of the CronJob see it")
	flags.StringVar(&f.config, "config", "", "`directory` of the platform, for its prices")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "`file` that says where the Job has run")
	flags.DurationVar(&f.duration, "duration", 0, "`how long` a run takes")
	output := formatFlag(cmd, "yaml", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		source, err := f.read(args[0], s.in)
		if err != nil {
			return err
		}
		made, err := source.Make(f.Options)
		refused, ok := errors.AsType[fromjob.Refusals](err)
		if ok && refused.OnlyFlags() {
			return wrongInput("%s %s needs more:\n%s", source.Kind, safetext.Line(source.Name), safetext.Lines(refused.Error()))
		}
		if ok {
			return fmt.Errorf("%s %s stays what it is:\n%s", source.Kind, safetext.Line(source.Name), safetext.Lines(refused.Error()))
		}
		if err != nil {
			return err
		}
		runs, err := f.runs(cmd.Context(), source, made)
		if err != nil {
			return err
		}
		return f.show(s, output, source, &imported{made, runs})
	}
	return cmd
}

// imported is what the command prints as JSON.
type imported struct {
	*fromjob.Made
	Runs runsOf `json:"runs"`
}

func (f *importFlags) read(path string, stdin io.Reader) (*fromjob.Source, error) {
	if f.Timeout < 0 || f.Timeout > fromjob.Longest || f.duration < 0 {
		return nil, wrongInput("--timeout: 1s to 15m; --duration: 0s or more")
	}
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(io.LimitReader(stdin, 2<<20))
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, wrongInput("read the Job: %w", err)
	}
	source, err := fromjob.Read(text)
	if err != nil {
		return nil, wrongInput("%s: %w", path, err)
	}
	return source, nil
}

func (f *importFlags) show(s streams, output *format, source *fromjob.Source, m *imported) error {
	if output.value == "json" {
		return output.print(s.out, m, nil)
	}
	text, err := m.YAML()
	if err != nil {
		return err
	}
	if _, err := s.out.Write(text); err != nil {
		return err
	}
	fmt.Fprintf(s.err, "%s %s becomes function %s/%s\n", source.Kind, safetext.Line(source.Name), safetext.Line(m.Function.Metadata.Namespace), safetext.Line(m.Function.Metadata.Name))
	section(s.err, "to be written before it works", m.Write)
	section(s.err, "different from the "+source.Kind, m.Changes)
	section(s.err, "latency", []string{
		"A Job's pod is scheduled, pulls and starts for each run. A function answers at once where an instance is started; its first call starts one, which takes as long as the pod does (spec.minWarm keeps some started)."})
	section(s.err, "a run", m.Runs.lines())
	return nil
}

func section(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintln(w, title+":")
	for _, line := range lines {
		fmt.Fprintln(w, "  "+safetext.Line(line))
	}
}
