//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// verdict adds the findings that only the whole run shows, and writes the report.
func (s *soak) verdict() string {
	var b strings.Builder
	var all tally
	udp, tcp := s.sum(s.udpWindows()), s.sum(s.tcpWindows())
	all.add(&udp)
	all.add(&tcp)
	seconds := s.lasted.Seconds()
	fmt.Fprintf(&b, "soak of %s, seed %d, %s cores\n", s.lasted.Round(time.Second), s.seed, cores())
	fmt.Fprintf(&b, "queries     %d: %d over UDP, %d over TCP in %d connections; %.0f a second\n",
		all.sent, udp.sent, tcp.sent, tcp.connections, float64(all.sent)/max(seconds, 1e-3))
	fmt.Fprintf(&b, "answers     %d:", all.answered)
	for rcode, n := range all.byRCode {
		if n > 0 {
			fmt.Fprintf(&b, " %s %d,", dns.RcodeToString[rcode], n)
		}
	}
	fmt.Fprintf(&b, " truncated %d; wrong %d\n", all.truncated, all.wrong)
	h := &all.latency
	fmt.Fprintf(&b, "latency     p50 %s, p99 %s, p99.9 %s, max %s\n",
		h.quantile(0.5), h.quantile(0.99), h.quantile(0.999), h.most.Round(time.Microsecond))
	fmt.Fprintf(&b, "server CPU  %.1fs of %.1fs\n", s.cpu.Sum().Seconds(), seconds)
	s.log.mu.Lock()
	fmt.Fprintf(&b, "changes     %d of zones; %d reloads (%d Corefiles written), %d refused (%d broken ones written)\n",
		s.changes.Load(), s.log.reloads, s.reloader.good, s.log.failed, s.reloader.bad)
	for _, line := range s.log.alarming {
		s.findings.add("alarming log", line)
	}
	s.log.mu.Unlock()
	fmt.Fprintf(&b, "hostile     %d packets, %d connections\n", s.hostilePackets.Load(), s.hostileConns.Load())
	fmt.Fprintf(&b, "HTTP        %d rounds of /metrics, /health, /ready\n", s.observer.scrapes)
	s.account(&b, &udp, &tcp)
	s.flat(&b)
	if s.finished {
		s.counted()
	}
	switch n := s.findings.total(); {
	case n > 0:
		fmt.Fprintf(&b, "FAILED, %d findings:\n%s", n, s.findings)
	case !s.finished:
		fmt.Fprintf(&b, "stopped before its end: no verdict\n")
	default:
		fmt.Fprintf(&b, "ok\n")
	}
	return b.String()
}

// account says what became of the queries without an answer. TCP loses none. Over
// UDP no more may be lost than the server's sockets, ours, and the kernel before
// them have dropped, and than the server says it could not send.
func (s *soak) account(b *strings.Builder, udp, tcp *tally) {
	server, client, kernel := s.drops.sums()
	unsent := uint64(s.observer.counter("stampdns_udp_send_errors_total"))
	excused := server + client + kernel + unsent
	fmt.Fprintf(b, "lost        UDP %d, TCP %d; dropped by the server's sockets %d, by ours %d, by the kernel's queues %d, not sent %d; "+
		"late %d (over %s)\n", udp.lost, tcp.lost, server, client, kernel, unsent, udp.tardy+tcp.tardy, s.patience)
	if udp.lost > excused {
		s.findings.addf("lost answers", "%d queries over UDP have no answer, and sockets dropped %d datagrams at most: %s",
			udp.lost, excused, s.examples(s.udpWindows()))
	}
	if tcp.lost > 0 {
		s.findings.addf("lost answers", "%d queries over TCP have no answer: %s", tcp.lost, s.examples(s.tcpWindows()))
	}
}

// flat says how memory and the like went.
func (s *soak) flat(b *strings.Builder) {
	for _, f := range s.observer.flatnesses(s.warmUp()) {
		if !f.judged() {
			fmt.Fprintf(b, "%-11s at most %.1f; too few samples for more\n", f.name, f.most)
			continue
		}
		fmt.Fprintf(b, "%-11s %.1f in the first third after %s, %.1f in the last, at most %.1f; the bound is %.1f\n",
			f.name, f.first, s.warmUp(), f.last, f.most, f.limit())
		if f.grown() {
			s.findings.addf("not flat", "%s: %.1f at first, %.1f at last, more than %.1f", f.name, f.first, f.last, f.limit())
		}
	}
}

// warmUp is how long memory may grow.
func (s *soak) warmUp() time.Duration { return min(30*time.Second, max(5*time.Second, s.duration/5)) }

// counted looks at what the server counted, and at whether the run was one.
func (s *soak) counted() {
	for _, name := range []string{
		"stampdns_panics_total", "stampdns_udp_receive_errors_total", "stampdns_tcp_connections_shed_total",
	} {
		if n := s.observer.counter(name); n > 0 {
			s.findings.addf("counted", "%s is %.0f", name, n)
		}
	}
	if s.log.reloads == 0 || s.changes.Load() == 0 || s.observer.scrapes == 0 {
		s.findings.addf("idle", "%d reloads, %d changes of zones, %d scrapes: this was no soak",
			s.log.reloads, s.changes.Load(), s.observer.scrapes)
	}
}

func (s *soak) udpWindows() (out []*window) {
	for _, f := range s.udp {
		out = append(out, f.window)
	}
	return out
}

func (s *soak) tcpWindows() (out []*window) {
	for _, f := range s.tcp {
		out = append(out, f.window)
	}
	return out
}

func (s *soak) sum(windows []*window) (sum tally) {
	for _, w := range windows {
		sum.add(&w.tally)
	}
	return sum
}

// examples are some of the queries that were lost.
func (s *soak) examples(windows []*window) string {
	var out []string
	for _, w := range windows {
		for _, one := range w.lost {
			if len(out) < keptFindings {
				out = append(out, fmt.Sprintf("%s: %s, sent at %.3fs", w.name, one.what, one.sent.Seconds()))
			}
		}
	}
	return strings.Join(out, "; ")
}

func (t *tally) add(other *tally) {
	t.sent += other.sent
	t.answered += other.answered
	t.wrong += other.wrong
	t.lost += other.lost
	t.tardy += other.tardy
	t.truncated += other.truncated
	t.connections += other.connections
	for i, n := range other.byRCode {
		t.byRCode[i] += n
	}
	t.latency.merge(&other.latency)
}
