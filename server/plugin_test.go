package server

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// probe sets up a block in which f is the Setup of a directive.
func probe(t *testing.T, corefile string, f func(*Directive)) error {
	t.Helper()
	s := New(Options{Plugins: []Plugin{{Name: "probe", Usage: "probe THINGS", Setup: func(d *Directive) (Handler, error) {
		d.Next()
		f(d)
		return nil, nil
	}}}})
	return s.Validate(Corefile{Text: []byte(corefile)})
}

func TestSharing(t *testing.T) {
	type one int
	type two int
	var blocks []*Block
	err := probe(t, "a.:0 {\n probe\n}\nb.:0 {\n probe\n}\n", func(d *Directive) {
		n := len(blocks)
		blocks = append(blocks, d.Block)
		if _, ok := Shared[one](d); ok {
			t.Error("shared before anybody made it")
		}
		if got := Share(d, func() one { return one(n) }); got != one(n) {
			t.Errorf("block %d got the value of another: %d", n, got)
		}
		if got := Share(d, func() one { return 99 }); got != one(n) {
			t.Errorf("made twice: %d", got)
		}
		if got, ok := Shared[one](d); !ok || got != one(n) {
			t.Errorf("Shared: %d, %t", got, ok)
		}
		if _, ok := Shared[two](d); ok {
			t.Error("types are mixed up")
		}
		if got := ShareAll(d, func() two { return two(n) }); got != 0 {
			t.Errorf("not one for all blocks: %d", got)
		}
		if got := ShareAll(d, func() one { return 7 }); got != 7 {
			t.Errorf("types are mixed up: %d", got)
		}
		if got := Keep(d, "k", func() one { return 1 }); got != 1 {
			t.Error(got)
		}
		if got := Keep(d, "k", func() two { return 2 }); got != 2 {
			t.Error(got)
		}
		if got := Keep(d, "l", func() one { return 3 }); got != 3 {
			t.Error(got)
		}
	})
	if err != nil || len(blocks) != 2 {
		t.Fatal(len(blocks), err)
	}
}

func TestRegisterTwice(t *testing.T) {
	counter := func() prometheus.Collector {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: MetricsNamespace + "_probe_total"})
	}
	err := probe(t, ".:0 {\n probe\n}\n", func(d *Directive) {
		if err := d.Register(counter()); err != nil {
			t.Error(err)
		}
		if err := d.Register(counter()); err == nil || err.Error()[:len("Corefile:2: probe: register")] != "Corefile:2: probe: register" {
			t.Error(err)
		}
		if families, err := d.Gatherer().Gather(); err != nil || len(families) != 1 {
			t.Error(families, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
}
