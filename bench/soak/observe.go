//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sample is what the server used at a time.
type sample struct {
	at                             time.Duration
	pss, goroutines, fds, tcpConns float64
}

// observer looks at the server from outside, once a second: its memory as the
// kernel has it, and its HTTP endpoints, which must work all the time.
type observer struct {
	soak    *soak
	client  *http.Client
	samples []sample
	// counters are the server's, by name, summed over labels, at the last scrape.
	mu       sync.Mutex
	counters map[string]float64
	scrapes  int
}

func newObserver(s *soak) *observer {
	return &observer{soak: s, client: &http.Client{Timeout: s.patience}, counters: make(map[string]float64)}
}

// run observes until ctx ends.
func (o *observer) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := o.look(ctx); err != nil && ctx.Err() == nil {
			o.soak.findings.addf("not observable", "at %.3fs: %v", o.soak.now().Seconds(), err)
		}
	}
}

// look takes a sample.
func (o *observer) look(ctx context.Context) error {
	if err := o.scrape(ctx); err != nil {
		return err
	}
	pss, err := o.soak.server.Memory()
	if err != nil {
		return err
	}
	if err := o.soak.drops.look(); err != nil {
		return err
	}
	o.samples = append(o.samples, sample{
		at: o.soak.now(), pss: float64(pss), goroutines: o.counter("go_goroutines"),
		fds: o.counter("process_open_fds"), tcpConns: o.counter("stampdns_tcp_connections"),
	})
	return nil
}

// scrape asks all three HTTP endpoints.
func (o *observer) scrape(ctx context.Context) error {
	s := o.soak
	for _, url := range []string{"http://" + s.health.String() + "/health", "http://" + s.ready.String() + "/ready"} {
		if _, err := o.get(ctx, url); err != nil {
			return err
		}
	}
	text, err := o.get(ctx, "http://"+s.metrics.String()+"/metrics")
	if err != nil {
		return err
	}
	counters := sumMetrics(text)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counters = counters
	o.scrapes++
	return nil
}

// get reads a page that must be there.
func (o *observer) get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := o.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("%s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", url, response.Status, text)
	}
	return string(text), nil
}

// counter is the sum of all series of a metric.
func (o *observer) counter(name string) float64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.counters[name]
}

// sumMetrics sums the series of each metric.
func sumMetrics(text string) map[string]float64 {
	sums := make(map[string]float64)
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		name, _, _ := strings.Cut(line, " ")
		name, _, _ = strings.Cut(name, "{")
		// Label values have spaces in them, numbers have none.
		value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err == nil && !strings.HasPrefix(line, "#") {
			sums[name] += value
		}
	}
	return sums
}

// flatness is how something that must not grow went, from the first third of the
// samples after the warm-up to the last one, by their medians.
type flatness struct {
	name        string
	first, last float64
	most        float64
	slack       float64 // what may be added to a tenth more
	samples     int
}

// minSamples is how many samples a third must have for a verdict.
const minSamples = 5

func (f *flatness) judged() bool { return f.samples >= 3*minSamples }

// limit is the most that the last third may have.
func (f *flatness) limit() float64 { return 1.10*f.first + f.slack }

func (f *flatness) grown() bool { return f.judged() && f.last > f.limit() }

// flatnesses are those of all that is sampled.
func (o *observer) flatnesses(warmUp time.Duration) []flatness {
	var warm []sample
	for _, one := range o.samples {
		if one.at >= warmUp {
			warm = append(warm, one)
		}
	}
	third := len(warm) / 3
	measure := func(name string, slack float64, of func(sample) float64) flatness {
		f := flatness{name: name, slack: slack, samples: len(warm)}
		pick := func(samples []sample) (values []float64) {
			for _, one := range samples {
				values = append(values, of(one))
			}
			return values
		}
		f.first, f.last = median(pick(warm[:third])), median(pick(warm[len(warm)-third:]))
		for _, v := range pick(o.samples) {
			f.most = math.Max(f.most, v)
		}
		return f
	}
	return []flatness{
		measure("memory, MiB", 4, func(s sample) float64 { return s.pss / (1 << 20) }),
		measure("goroutines", 32, func(s sample) float64 { return s.goroutines }),
		measure("open files", 32, func(s sample) float64 { return s.fds }),
	}
}
