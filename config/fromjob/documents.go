package fromjob

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// document is one object of a file.
type document struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct {
		Name         string `json:"name"`
		GenerateName string `json:"generateName"`
	} `json:"metadata"`
	text []byte
}

func (d *document) String() string {
	return d.Kind + " " + orElse(d.Metadata.Name, d.Metadata.GenerateName)
}

func (d *document) job() bool {
	return d.APIVersion == "batch/v1" && (d.Kind == "Job" || d.Kind == "CronJob")
}

// only returns the one Job or CronJob of a file, and what else is in it.
func only(text []byte) (found *document, beside []string, err error) {
	all, err := documents(text)
	if err != nil {
		return nil, nil, err
	}
	for i := range all {
		switch d := &all[i]; {
		case !d.job():
			beside = append(beside, d.String())
		case found != nil:
			return nil, nil, fmt.Errorf("the file has %s and %s; import them one by one, by kubectl get … -o yaml | spillway import -", found, d)
		default:
			found = d
		}
	}
	switch {
	case found != nil:
		return found, beside, nil
	case len(all) == 0:
		return nil, nil, errors.New("the file is empty; it wants a Job or a CronJob")
	case len(all) > 1:
		return nil, nil, fmt.Errorf("none of the %d objects is a Job or CronJob of batch/v1", len(all))
	}
	return nil, nil, fmt.Errorf("apiVersion %q, kind %q: neither; allowed: Job and CronJob of batch/v1", all[0].APIVersion, all[0].Kind)
}

// documents are those of a file that are not empty.
func documents(text []byte) (all []document, err error) {
	docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("no YAML: %w", err)
		}
		if blank(doc) {
			continue
		}
		d := document{text: doc}
		if err := yaml.Unmarshal(doc, &d); err != nil {
			return nil, fmt.Errorf("no YAML of a Kubernetes object: %w", err)
		}
		all = append(all, d)
	}
}

func blank(doc []byte) bool {
	for line := range strings.Lines(string(doc)) {
		if line = strings.TrimSpace(line); line != "" && line != "---" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}
