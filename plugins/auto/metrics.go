package auto

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/watch"
)

// state is what became of a file, as the metrics tell it.
type state int

const (
	stateLoaded  state = iota // its zone is served
	stateFailed               // it is broken, and there is no good zone from before
	stateRefused              // its zone has another source, or is none of ours
	stateIgnored              // its name says no zone
	stateCount
)

func (s state) String() string {
	return [stateCount]string{"loaded", "failed", "refused", "ignored"}[s]
}

// folders is all directories of the configuration: it shows them when somebody
// scrapes.
type folders struct {
	all []*folder
}

// add takes a directory up; the first one registers the metrics.
func (f *folders) add(d *server.Directive, one *folder) error {
	f.all = append(f.all, one)
	if len(f.all) > 1 {
		return nil
	}
	return d.Register(f)
}

// retain has nothing remembered but the files that are there: one that went while
// the server reloaded is known to no folder that would forget it. Blocks that share
// a directory share what is remembered.
func (f *folders) retain() {
	files := make(map[*watch.Memory][]*watch.File)
	for _, one := range f.all {
		files[one.memory] = append(files[one.memory], one.files()...)
	}
	for memory, there := range files {
		memory.Retain(there)
	}
}

func (f *folders) desc() *prometheus.Desc {
	return prometheus.NewDesc(server.MetricsNamespace+"_auto_files",
		"Files in the directories of plugin auto, by what became of them.", []string{"directory", "state"}, nil)
}

// Describe sends what Collect will.
func (f *folders) Describe(ch chan<- *prometheus.Desc) { ch <- f.desc() }

// Collect sums over the blocks that share a directory.
func (f *folders) Collect(ch chan<- prometheus.Metric) {
	sums := make(map[string]*[stateCount]int64)
	for _, one := range f.all {
		if sums[one.directory] == nil {
			sums[one.directory] = new([stateCount]int64)
		}
		for i := range stateCount {
			sums[one.directory][i] += one.counts[i].Load()
		}
	}
	desc := f.desc()
	for dir, sum := range sums {
		for i := range stateCount {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(sum[i]), dir, i.String())
		}
	}
}
