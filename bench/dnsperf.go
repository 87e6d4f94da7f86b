//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"github.com/stampdns/stampdns/bench/process"
)

// load is what dnsperf is to do: a closed loop that keeps so many queries in
// flight, each answer making room for the next query.
type load struct {
	queries  string // file
	tcp, do  bool
	duration time.Duration // at most, where each query is sent once
	once     bool
	names    int // so many distinct questions are in the file, if they are counted
}

// The closed loop. Clients are sockets, over TCP connections.
const (
	loadClients  = 10
	loadInFlight = 100
)

// loadResult is what dnsperf saw.
type loadResult struct {
	Answered  int64   `json:"answered"`
	Lost      int64   `json:"lost"`
	Failed    int64   `json:"failed"`  // answered, but neither NOERROR nor NXDOMAIN
	Reached   int64   `json:"reached"` // the upstream of a forwarder
	Seconds   float64 `json:"seconds"`
	ReplySize float64 `json:"reply_octets"` // on average
}

// dnsperf runs dnsperf against addr from the load's core.
func (b *bench) dnsperf(ctx context.Context, addr netip.AddrPort, l load) (loadResult, error) {
	const grace = 15 * time.Second
	ctx, cancel := context.WithTimeout(ctx, l.duration+grace)
	defer cancel()
	mode := "udp"
	if l.tcp {
		mode = "tcp"
	}
	args := process.Pin(b.loadCore, []string{
		b.dnsperfPath, "-m", mode, "-s", addr.Addr().String(), "-p", strconv.Itoa(int(addr.Port())),
		"-d", l.queries, "-l", fmt.Sprintf("%.3f", l.duration.Seconds()), "-t", "2",
		"-c", strconv.Itoa(loadClients), "-q", strconv.Itoa(loadInFlight), "-T", "1",
	})
	if l.once {
		args = append(args, "-n", "1")
	}
	if l.do {
		args = append(args, "-e", "-D")
	}
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return loadResult{}, fmt.Errorf("dnsperf: %w\n%s", err, out)
	}
	return parseDnsperf(string(out))
}

var (
	perfAnswered = regexp.MustCompile(`Queries completed:\s+(\d+)`)
	perfLost     = regexp.MustCompile(`Queries lost:\s+(\d+)`)
	perfSeconds  = regexp.MustCompile(`Run time \(s\):\s+([\d.]+)`)
	perfCode     = regexp.MustCompile(`([A-Z0-9]+) (\d+) \([\d.]+%\)`)
	perfSize     = regexp.MustCompile(`Average packet size:\s+request \d+, response (\d+)`)
)

// parseDnsperf reads the statistics that dnsperf prints at its end.
func parseDnsperf(out string) (loadResult, error) {
	var bad error
	number := func(what *regexp.Regexp) float64 {
		found := what.FindStringSubmatch(out)
		if found == nil {
			if bad == nil {
				bad = fmt.Errorf("dnsperf's output has no %q:\n%s", what, out)
			}
			return 0
		}
		n, err := strconv.ParseFloat(found[1], 64)
		if err != nil && bad == nil {
			bad = fmt.Errorf("dnsperf: %w", err)
		}
		return n
	}
	r := loadResult{
		Answered: int64(number(perfAnswered)), Lost: int64(number(perfLost)),
		Seconds: number(perfSeconds),
	}
	for _, code := range perfCode.FindAllStringSubmatch(out, -1) {
		if n, _ := strconv.ParseInt(code[2], 10, 64); code[1] != "NOERROR" && code[1] != "NXDOMAIN" {
			r.Failed += n
		}
	}
	if r.Answered > 0 {
		r.ReplySize = number(perfSize)
	}
	return r, bad
}
