package usage

import (
	"context"

	dto "github.com/prometheus/client_model/go"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// Resources is what a kubelet's /metrics/resource says, under the names that
// metrics-server reads.
func (u *Usage) Resources(ctx context.Context) ([]*dto.MetricFamily, error) {
	s, err := u.Summary(ctx)
	if err != nil {
		return nil, err
	}
	families := []*family{
		{name: "node_cpu_usage_seconds_total", help: "Processor time of all pods of the node.", kind: dto.MetricType_COUNTER},
		{name: "node_memory_working_set_bytes", help: "Memory of all pods of the node.", kind: dto.MetricType_GAUGE},
		{name: "pod_cpu_usage_seconds_total", help: "Processor time of the pod's present guest.", kind: dto.MetricType_COUNTER},
		{name: "pod_memory_working_set_bytes", help: "Memory of the pod.", kind: dto.MetricType_GAUGE},
		{name: "container_cpu_usage_seconds_total", help: "Processor time of the container in the pod's present guest.", kind: dto.MetricType_COUNTER},
		{name: "container_memory_working_set_bytes", help: "Memory of the container.", kind: dto.MetricType_GAUGE},
		{name: "container_start_time_seconds", help: "When the container started, in seconds since 1970.", kind: dto.MetricType_GAUGE},
	}
	families[0].cpu(s.Node.CPU)
	families[1].memory(s.Node.Memory)
	for i := range s.Pods {
		p := &s.Pods[i]
		families[2].cpu(p.CPU, "namespace", p.PodRef.Namespace, "pod", p.PodRef.Name)
		families[3].memory(p.Memory, "namespace", p.PodRef.Namespace, "pod", p.PodRef.Name)
		for j := range p.Containers {
			c := &p.Containers[j]
			labels := []string{"namespace", p.PodRef.Namespace, "pod", p.PodRef.Name, "container", c.Name}
			families[4].cpu(c.CPU, labels...)
			families[5].memory(c.Memory, labels...)
			if !c.StartTime.IsZero() {
				families[6].add(float64(c.StartTime.UnixNano())/1e9, 0, labels...)
			}
		}
	}
	var out []*dto.MetricFamily
	for _, f := range families {
		if len(f.samples) > 0 {
			out = append(out, &dto.MetricFamily{Name: &f.name, Help: &f.help, Type: &f.kind, Metric: f.samples})
		}
	}
	return out, nil
}

type family struct {
	name, help string
	kind       dto.MetricType
	samples    []*dto.Metric
}

func (f *family) cpu(c *stats.CPUStats, labels ...string) {
	if c != nil && c.UsageCoreNanoSeconds != nil {
		f.add(float64(*c.UsageCoreNanoSeconds)/1e9, c.Time.UnixMilli(), labels...)
	}
}

func (f *family) memory(m *stats.MemoryStats, labels ...string) {
	if m != nil && m.WorkingSetBytes != nil {
		f.add(float64(*m.WorkingSetBytes), m.Time.UnixMilli(), labels...)
	}
}

// add appends a sample, taken at millis since 1970 or, for 0, now; labels are pairs.
func (f *family) add(value float64, millis int64, labels ...string) {
	m := &dto.Metric{}
	for i := 0; i < len(labels); i += 2 {
		m.Label = append(m.Label, &dto.LabelPair{Name: &labels[i], Value: &labels[i+1]})
	}
	if millis > 0 {
		m.TimestampMs = &millis
	}
	if f.kind == dto.MetricType_COUNTER {
		m.Counter = &dto.Counter{Value: &value}
	} else {
		m.Gauge = &dto.Gauge{Value: &value}
	}
	f.samples = append(f.samples, m)
}
