package cache

import (
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
)

const (
	hour = time.Hour
	www  = "www.contoso.com. 300 IN A 192.0.2.80"
)

// Expired answers are given at once, and asked for again.
func TestStaleImmediate(t *testing.T) {
	l := newLab(t, "cache {\n serve_stale\n servfail 1s\n }")
	l.says(dns.RcodeSuccess, www)
	l.expect("miss", "NOERROR A/300", 1)
	l.pass(300 * time.Second)
	l.says(dns.RcodeServerFailure)
	l.expect("stale", "NOERROR A/30 EDE3", 2)
	l.expect("stale, not asked again so soon", "NOERROR A/30 EDE3", 2)
	l.pass(29 * time.Second)
	l.expect("stale, not asked again so soon", "NOERROR A/30 EDE3", 2)
	l.pass(2 * time.Second)
	l.expect("stale, asked again", "NOERROR A/30 EDE3", 3)
	l.pass(31 * time.Second)
	l.says(dns.RcodeRefused)
	l.expect("REFUSED is no answer", "NOERROR A/30 EDE3", 4)
	l.pass(31 * time.Second)
	l.answers(func(*server.Query) server.Verdict { return server.Dropped })
	l.expect("none is none either", "NOERROR A/30 EDE3", 5)
	l.pass(31 * time.Second)
	l.answers(func(*server.Query) server.Verdict { panic("behind") })
	l.expect("nor is a panic", "NOERROR A/30 EDE3", 6)
	l.pass(hour - 5*time.Minute)
	l.says(dns.RcodeServerFailure)
	l.expect("stale, almost too old", "NOERROR A/30 EDE3", 7)
	l.pass(5 * time.Minute)
	l.expect("too old", "SERVFAIL", 8)
	l.says(dns.RcodeSuccess, www)
	l.expect("failure is kept", "SERVFAIL EDE13", 8)
	l.pass(time.Second)
	l.expect("failure has expired", "NOERROR A/300", 9)
}

// The query that finds an expired answer asks for it, and gets it only if there
// is none.
func TestStaleVerify(t *testing.T) {
	l := newLab(t, "cache {\n serve_stale 10m verify\n }")
	l.says(dns.RcodeSuccess, www)
	l.expect("miss", "NOERROR A/300", 1)
	l.pass(300 * time.Second)
	l.says(dns.RcodeSuccess, "www.contoso.com. 200 IN A 192.0.2.81")
	l.expect("a new answer", "NOERROR A/200", 2)
	l.pass(200 * time.Second)
	l.says(dns.RcodeServerFailure)
	l.expect("none", "NOERROR A/30 EDE3", 3)
	l.expect("not asked again so soon", "NOERROR A/30 EDE3", 3)
	l.pass(30 * time.Second)
	l.answers(func(*server.Query) server.Verdict { return server.Dropped })
	l.expect("dropped", "NOERROR A/30 EDE3", 4)
	l.pass(30 * time.Second)
	l.answers(func(*server.Query) server.Verdict { panic("behind") })
	l.expect("panic", "NOERROR A/30 EDE3", 5)
	l.pass(30 * time.Second)
	l.answers(func(q *server.Query) server.Verdict { q.Reply = q.Reply[:5]; return server.Answered })
	l.expect("broken", "NOERROR A/30 EDE3", 6)
	if got := l.Metric("127.0.0.1:0", `stampdns_cache_served_stale_total{server="dns://:0"}`); got != "5" {
		t.Errorf("%s stale answers", got)
	}
	l.pass(10*time.Minute - 90*time.Second)
	l.says(dns.RcodeServerFailure)
	l.expect("too old", "SERVFAIL", 7)
}

// Whatever a name is now takes the place of what it was, also where the new
// answer cannot be kept; no stale one comes back.
func TestGoodReplacesStale(t *testing.T) {
	for _, mode := range []string{"immediate", "verify"} {
		for _, tc := range []struct {
			name  string
			rcode int
			new   []string
			reply string
			lasts bool // is kept
		}{
			{"answer", 0, []string{"www.contoso.com. 200 IN A 192.0.2.81"}, "NOERROR A/200", true},
			{"denial", dns.RcodeNameError, []string{"--", soa}, "NXDOMAIN SOA/60", true},
			{"no data", 0, []string{"--", soa}, "NOERROR SOA/60", true},
			{"TTL 0", 0, []string{"www.contoso.com. 0 IN A 192.0.2.81"}, "NOERROR A/0", false},
			{"denial without SOA", dns.RcodeNameError, nil, "NXDOMAIN", false},
			{"no data without SOA", 0, nil, "NOERROR", false},
			{"denial that is not cached", dns.RcodeNameError, []string{"--", soa}, "NXDOMAIN SOA/600", false},
		} {
			t.Run(mode+"/"+tc.name, func(t *testing.T) {
				options := "serve_stale 10h " + mode
				if tc.name == "denial that is not cached" {
					options += "\n disable denial"
				}
				l := newLab(t, "cache {\n "+options+"\n }")
				l.says(dns.RcodeSuccess, www)
				l.expect("miss", "NOERROR A/300", 1)
				l.pass(hour)
				l.says(tc.rcode, tc.new...)
				asked := int64(2)
				if !tc.lasts && mode == "immediate" {
					asked++ // the refresh, and the query itself
				}
				l.expect("renewed", tc.reply, asked)
				l.says(dns.RcodeServerFailure)
				if tc.lasts {
					l.expect("kept", tc.reply, asked)
					return
				}
				l.expect("nothing is left of the old one", "SERVFAIL", asked+1)
			})
		}
	}
}

// A stale denial is served as one, and a failure is never stale.
func TestStaleDenial(t *testing.T) {
	l := newLab(t, "cache {\n serve_stale\n }")
	l.says(dns.RcodeNameError, "--", soa)
	l.expect("miss", "NXDOMAIN SOA/60", 1)
	l.pass(time.Minute)
	l.says(dns.RcodeServerFailure)
	l.expect("stale", "NXDOMAIN SOA/30 EDE19", 2)
	l.says(dns.RcodeSuccess, www)
	l.pass(time.Minute)
	l.expect("answered at once", "NOERROR A/300", 3)
	l.says(dns.RcodeServerFailure)
	if got := brief(l.lookup("no.contoso.com.")); got != "SERVFAIL" {
		t.Error(got)
	}
	l.pass(6 * time.Second)
	l.says(dns.RcodeSuccess, "no.contoso.com. 300 IN A 192.0.2.80")
	if got := brief(l.lookup("no.contoso.com.")); got != "NOERROR A/300" {
		t.Error(got)
	}
}

// A slow refresh is one, however many ask meanwhile.
func TestStaleRefreshIsOne(t *testing.T) {
	l := newLab(t, "cache {\n serve_stale\n }")
	l.says(dns.RcodeSuccess, www)
	l.expect("miss", "NOERROR A/300", 1)
	l.pass(hour)
	held := l.holds()
	for range 20 {
		l.expect("stale", "NOERROR A/30 EDE3", 2)
	}
	q := <-held
	if !q.Forked() {
		t.Error("a client's query is kept waiting")
	}
	if err := q.SetMsg(message(t, dns.RcodeSuccess, "www.contoso.com. 200 IN A 192.0.2.81")); err != nil {
		t.Fatal(err)
	}
	q.Finish(server.Answered)
	l.expect("renewed", "NOERROR A/200", 2)
}

// Where no query of its own can be made, a client's does the refresh.
func TestStaleWithoutFork(t *testing.T) {
	l := newLab(t, "cache {\n serve_stale\n }")
	l.says(dns.RcodeSuccess, www)
	l.expect("miss", "NOERROR A/300", 1)
	l.pass(hour)
	m := new(dns.Msg).SetQuestion("www.contoso.com.", dns.TypeA).SetEdns0(1232, false)
	o := m.IsEdns0()
	o.Option = append(o.Option, &dns.EDNS0_PADDING{Padding: make([]byte, 5000)})
	l.says(dns.RcodeSuccess, "www.contoso.com. 200 IN A 192.0.2.81")
	if got := brief(l.Exchange("tcp", l.Addrs()[0], m)); got != "NOERROR A/200" || l.asked.Load() != 2 {
		t.Errorf("%s after asking %d times", got, l.asked.Load())
	}
}
