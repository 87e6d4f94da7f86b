package server

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// marker is a plugin that writes down what passes it.
func marker(log *[]string, name string, observer bool, in func(*Query) Verdict, out func(*Query)) Plugin {
	return Plugin{Name: name, Observer: observer, Setup: func(*Directive) (Handler, error) {
		note := func(sign string, q *Query) {
			if q.Forked() {
				sign += "fork:"
			}
			*log = append(*log, sign+name)
		}
		return handler{
			in: func(q *Query) Verdict {
				note("+", q)
				if in == nil {
					return Next
				}
				return in(q)
			},
			out: func(q *Query) {
				note("-", q)
				if out != nil {
					out(q)
				}
			},
		}, nil
	}}
}

// chainOf serves the plugins, each of which stands in one block.
func chainOf(t testing.TB, plugins ...Plugin) *bench {
	t.Helper()
	text := ".:0 {\n"
	for _, p := range plugins {
		text += p.Name + "\n"
	}
	s := New(Options{Plugins: plugins, Workers: 2, Logger: slog.New(slog.DiscardHandler)})
	g, err := s.build(Corefile{Text: []byte(text + "}\n")})
	if err != nil {
		t.Fatal(err)
	}
	q := newQuery()
	q.Local, q.Remote, q.Worker = loopback(1, 53), loopback(1, 1053), 1
	return &bench{server: s, router: g.router(g.listenKeys()[0]), q: q}
}

func (b *bench) underWay() (n int64) {
	for i := range b.router.gen.inflight {
		n += b.router.gen.inflight[i].n.Load()
	}
	return n
}

// What a fork passes, from In and from Out of the handler that makes it.
func TestForkOrder(t *testing.T) {
	answered := func(*Query) Verdict { return Answered }
	for _, c := range []struct {
		name     string
		fromOut  bool
		behind   func(*Query) Verdict
		want     string
		answered bool
		rcode    uint16
	}{
		{"in", false, answered, "+eye +front +forker +fork:behind -fork:behind -fork:forker +behind -behind -forker -front -eye", true, RCodeSuccess},
		{"out", true, answered, "+eye +front +forker +behind -behind -forker +fork:behind -fork:behind -fork:forker -front -eye", true, RCodeSuccess},
		{"dropped", false, func(*Query) Verdict { return Dropped }, "+eye +front +forker +fork:behind -fork:behind -fork:forker +behind -behind -forker -front -eye", false, 0},
		{"panic", false, func(q *Query) Verdict {
			if q.Forked() {
				panic("behind")
			}
			return Answered
		}, "+eye +front +forker +fork:behind -fork:forker +behind -behind -forker -front -eye", true, RCodeServerFailure},
		{"nobody behind", false, func(*Query) Verdict { return Next },
			"+eye +front +forker +fork:behind -fork:behind -fork:forker +behind -behind -forker -front -eye", true, RCodeRefused},
	} {
		var log []string
		ends := 0
		fork := func(q *Query) {
			if q.Forked() {
				ends++
				if !q.Passed() || (q.Verdict() == Answered) != c.answered || c.answered && q.RCode() != c.rcode {
					t.Errorf("%s: passed %t, verdict %d, rcode %d", c.name, q.Passed(), q.Verdict(), q.RCode())
				}
				return
			}
			forked := q.Fork()
			if string(forked.Packet) != string(q.Packet) || &forked.Packet[0] == &q.Packet[0] || string(forked.Name) != string(q.Name) ||
				forked.Type != q.Type || forked.EDNS.DO != q.EDNS.DO || forked.Local != q.Local || forked.Remote != q.Remote ||
				forked.Worker != q.Worker || forked.Transport != q.Transport || forked.Block() != q.Block() {
				t.Errorf("%s: %+v is not a copy of %+v", c.name, forked, q)
			}
			forked.Run()
		}
		b := chainOf(t, marker(&log, "eye", true, nil, nil), marker(&log, "front", false, nil, nil),
			marker(&log, "forker", false, func(q *Query) Verdict {
				if !c.fromOut {
					fork(q)
				}
				return Next
			}, func(q *Query) {
				if c.fromOut || q.Forked() {
					fork(q)
				}
			}), marker(&log, "behind", false, c.behind, nil))
		packet, _ := question("www.Example.org.").SetEdns0(1232, true).Pack()
		b.exchange(packet)
		if got := strings.Join(log, " "); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
		if ends != 1 || b.underWay() != 0 {
			t.Errorf("%s: ended %d times, %d under way", c.name, ends, b.underWay())
		}
	}
}

// A fork is not made of what no common buffer holds, nor by an observer.
func TestNoFork(t *testing.T) {
	var log []string
	tried := 0
	try := func(q *Query) Verdict {
		tried++
		if f := q.Fork(); f != nil {
			t.Errorf("a fork of %d octets", len(q.Packet))
			f.Run()
		}
		return Next
	}
	b := chainOf(t, marker(&log, "eye", true, try, func(q *Query) { try(q) }), marker(&log, "last", false, nil, nil))
	packet, _ := question("a.").Pack()
	b.exchange(packet)
	long := question("a.").SetEdns0(1232, false)
	o := long.IsEdns0()
	o.Option = append(o.Option, &dns.EDNS0_PADDING{Padding: make([]byte, inSize)})
	packet, err := long.Pack()
	if err != nil {
		t.Fatal(err)
	}
	b = chainOf(t, marker(&log, "forker", false, try, nil))
	b.q.in = make([]byte, len(packet))
	if b.exchange(packet) == nil || tried != 3 || b.underWay() != 0 {
		t.Errorf("tried %d times, %d under way", tried, b.underWay())
	}
}

// A fork that is pending keeps its configuration from stopping.
func TestForkPending(t *testing.T) {
	l := newLab()
	held := make(chan *Query, 1)
	ended := make(chan struct{})
	s := l.start(t, ".:0 {\n bind 127.0.0.1\n watch\n forker\n holder\n}\n", func(o *Options) {
		o.Plugins = append(o.Plugins, Plugin{Name: "forker", Setup: func(*Directive) (Handler, error) {
			return handler{in: func(q *Query) Verdict {
				q.Fork().Run()
				return Next
			}, out: func(q *Query) {
				if q.Forked() {
					close(ended)
				}
			}}, nil
		}}, Plugin{Name: "holder", Setup: func(*Directive) (Handler, error) {
			return handler{in: func(q *Query) Verdict {
				if q.Forked() {
					held <- q
					return Pending
				}
				appendTXT(q, "hello")
				return Answered
			}}, nil
		}})
	})
	if got := text(t, ask(t, "udp", s.Addrs()[0], question("a."))); got != "hello" {
		t.Errorf("answer %q", got)
	}
	eventually(t, "the observer sees the query", func() bool { return l.outs.Load() == 1 })
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	eventually(t, "shutdown begins", func() bool { return s.Ready() != nil })
	select {
	case <-done:
		t.Fatal("shutdown did not wait for the fork")
	case <-time.After(20 * time.Millisecond):
	}
	q := <-held
	appendTXT(q, "to nobody")
	q.Finish(Answered)
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-ended
	if l.stops.Load() != 1 || l.outs.Load() != 1 || l.seen.Load() != 1 {
		t.Errorf("%d stops; the observer saw %d queries and %d ends", l.stops.Load(), l.seen.Load(), l.outs.Load())
	}
}

// A handler that passed a query on may answer it on its way out, though it was
// dropped behind.
func TestAnswerDropped(t *testing.T) {
	var log []string
	for _, pass := range []bool{true, false} {
		var passed []bool
		v := Dropped
		if pass {
			v = Next
		}
		b := chainOf(t, marker(&log, "front", false, nil, func(q *Query) { passed = append(passed, q.Passed()) }),
			marker(&log, "here", false, func(*Query) Verdict { return v }, func(q *Query) {
				passed = append(passed, q.Passed())
				if q.Verdict() == Dropped {
					q.SetRCode(RCodeNameError)
					q.Answer()
				}
			}),
			marker(&log, "drop", false, func(*Query) Verdict { return Dropped }, func(q *Query) { passed = append(passed, q.Passed()) }))
		packet, _ := question("a.").SetEdns0(1232, false).Pack()
		raw := b.exchange(packet)
		if raw == nil || wire.RCode(raw) != RCodeNameError || wire.Count(raw, wire.CountAR) != 1 {
			t.Errorf("reply % x", raw)
		}
		want := "[false true]"
		if pass {
			want = "[false true true]"
		}
		if got := fmt.Sprint(passed); got != want {
			t.Errorf("passed %s, want %s", got, want)
		}
	}
}
