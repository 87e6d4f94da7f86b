//go:build linux

package main

import (
	"testing"
	"time"
)

func TestParseUDP(t *testing.T) {
	const text = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n" +
		"  119: 0200007F:3BF9 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 48567 2 00000000d1 42\n"
	got, err := parseUDP(text)
	if err != nil || len(got) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if s := got[0]; s.local.String() != "127.0.0.2:15353" || s.inode != 48567 || s.drops != 42 {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{"x\n1: 0200007F:3BF9\n", "x\n1: zz:1 0:0 7 0:0 0:0 0 0 0 48567 2 0 42\n"} {
		if got, err := parseUDP(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, got)
		}
	}
}

func TestSumMetrics(t *testing.T) {
	sums := sumMetrics("# HELP a text 9\na{x=\"1 2\"} 3\na{x=\"2\"} 4\nb 1.5e+03\n")
	if sums["a"] != 7 || sums["b"] != 1500 || len(sums) != 2 {
		t.Errorf("%v", sums)
	}
}

// TestFlatness says what growth is: not the warm-up, and not a few more.
func TestFlatness(t *testing.T) {
	o := &observer{}
	for i := range 120 {
		memory := 50.0 + float64(i)/20 // to 56 MiB
		if i < 30 {
			memory = 10
		}
		o.samples = append(o.samples, sample{
			at: time.Duration(i) * time.Second, pss: memory * (1 << 20), goroutines: float64(20 + 2*i), fds: float64(i % 7),
		})
	}
	f := o.flatnesses(30 * time.Second)
	if f[0].grown() || !f[1].grown() || f[2].grown() || !f[0].judged() {
		t.Errorf("%+v", f)
	}
	o.samples = o.samples[:40]
	if f := o.flatnesses(30 * time.Second); f[0].judged() || f[1].grown() {
		t.Errorf("a verdict from %d samples", f[0].samples)
	}
}

func TestHistogram(t *testing.T) {
	var a, b histogram
	for i := 1; i <= 1000; i++ {
		a.add(time.Duration(i) * time.Microsecond)
	}
	b.add(3 * time.Second)
	a.merge(&b)
	for _, tc := range []struct {
		q    float64
		want time.Duration
	}{{0, time.Microsecond}, {0.5, 500 * time.Microsecond}, {0.99, 990 * time.Microsecond}, {1, 3 * time.Second}} {
		got := a.quantile(tc.q)
		if got > tc.want || got < tc.want*15/16-time.Microsecond {
			t.Errorf("quantile %v is %s, want %s", tc.q, got, tc.want)
		}
	}
}
