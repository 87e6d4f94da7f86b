package fault

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestRules reads rules and shows their canonical form, which reads the same.
func TestRules(t *testing.T) {
	for _, tc := range []struct{ rule, want string }{
		{"servfail", "servfail for 10m"},
		{"SERVFAIL ns ns01 name *.Blob.* for 5m", "servfail ns ns01 name *.blob.* for 5m"},
		{"delay 500ms jitter 100ms seed 7", "delay 500ms jitter 100ms seed 7 for 10m"},
		{"delay delay 1s ns ns02", "delay 1s ns ns02 for 10m"},
		{"oversize", "oversize 4000 for 10m"},
		{"oversize 1400 client 192.0.2.77/24 2001:db8::1", "oversize 1400 client 192.0.2.0/24 2001:db8::1 for 10m"},
		{"stale-serial 3 type soa AXFR type65280", "stale-serial 3 type SOA AXFR TYPE65280 for 10m"},
		{"wrong-ns a.example b.example. type NS", "wrong-ns a.example. b.example. type NS for 10m"},
		{"refused probability 0.25 seed 1 count 3 resolver corp as no-1", "refused resolver corp probability 0.25 seed 1 count 3 for 10m as no-1"},
		{"drop every 3 transport udp", "drop transport udp every 3 for 10m"},
		{"drop transport udp tcp", "drop for 10m"},
		{"truncate transport udp tcp", "truncate transport udp tcp for 10m"},
		{"tcp-refuse client * for 90m", "tcp-refuse for 1h30m"},
		{"drop name type. name.", "drop name type. name. for 10m"},
		{"drop name . type.", "drop name . type. for 10m"},
	} {
		s, err := parseLine(tc.rule)
		if err != nil {
			t.Errorf("%s: %v", tc.rule, err)
			continue
		}
		again, err := parseLine(s.text())
		if err != nil || again.text() != s.text() || s.text() != tc.want {
			t.Errorf("%s: %q, then %v %v, want %q", tc.rule, s.text(), again, err, tc.want)
		}
		// In parts, as the API takes it.
		text, _ := json.Marshal(s.doc)
		var parts newFaultDoc
		if err := json.Unmarshal(text, &parts); err != nil {
			t.Fatal(err)
		}
		if same, err := parts.spec(); err != nil || same.text() != tc.want {
			t.Errorf("%s: as parts %s: %v %v", tc.rule, text, same, err)
		}
	}
}

// TestWrongRules says what is wrong, and what to do.
func TestWrongRules(t *testing.T) {
	for _, tc := range []struct{ rule, want string }{
		{"", "no kind of fault given: write one of delay, drop"},
		{"servfial", `unknown kind of fault "servfial"; did you mean "servfail"?`},
		{"servfail ns01", `servfail does not take "ns01"`},
		{"servfail nme x", `servfail does not take "nme"; did you mean "name"?`},
		{"servfail ns", "nothing follows ns"},
		{"servfail ns name x", "nothing follows ns"},
		{"servfail ns a ns b", "ns stands twice"},
		{"servfail type B", `unknown query type "B"`},
		{"servfail type AAA", `did you mean "A`},
		{"servfail name a..b", `name "a..b" is no name`},
		{"servfail transport dot", `unknown transport "dot": write udp or tcp`},
		{"tcp-reset transport udp", "tcp-reset is no fault over udp"},
		{"oversize transport tcp", "oversize is no fault over tcp"},
		{"oversize 100", `oversize "100": give the size of the reply in octets, 513 to 65000`},
		{"oversize 1000 2000", `oversize does not take "2000"`},
		{"stale-serial 0", "1 to 2147483647"},
		{"stale-serial 2147483648", "1 to 2147483647"},
		{"wrong-ns a..b", "wrong-ns: "},
		{"servfail client here", `client "here" is no network`},
		{"servfail probability 0", `probability "0": write a number above 0 and up to 1`},
		{"servfail probability NaN", "probability"},
		{"servfail probability 1.5", "probability"},
		{"servfail probability 0.5 every 2", "probability and every exclude each other"},
		{"servfail every 0", `every "0": write a whole number`},
		{"servfail count -1", `count "-1": write a whole number`},
		{"servfail seed 1", "seed is for rules with probability or jitter"},
		{"delay", "delay needs to know how long: delay 500ms"},
		{"delay soon", `delay "soon" is no duration`},
		{"delay 2m", "delay 2m: it is from 1µs to 1m"},
		{"delay 40s jitter 40s", "delay and jitter are more than 1m"},
		{"delay 1s jitter 2s", "jitter 2s is more than the delay of 1s"},
		{"servfail jitter 1s", "jitter needs a delay"},
		{"servfail for 25h", "for 25h: it is from 1s to 24h"},
		{"servfail for 5m now", `for takes one value, and "now" follows "5m"`},
		{"servfail until tomorrow", `until "tomorrow" is no time: write it as 2026-01-02T15:04:05Z`},
		{"servfail until 2999-01-01T00:00:00Z", "more than 24h away"},
		{"servfail for 5m until 2026-01-01T00:00:00Z", "for and until exclude"},
		{"servfail as Big", `as "Big": the name of a rule has 1 to 32 of a-z, 0-9 and -`},
		{"tcp-refuse name x", "tcp-refuse acts before there is a query"},
		{"tcp-refuse delay 1s", "tcp-refuse has no reply"},
		{"servfail ns " + strings.Repeat("x ", 65), "more than 64 values"},
		{"drop name " + strings.Repeat("long-label.", 400), "and 4096 at most"},
	} {
		if s, err := parseLine(tc.rule); err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(tc.want, "for 25h:", "for 25h0m0s:")) &&
			!strings.Contains(err.Error(), strings.ReplaceAll(tc.want, "delay 2m:", "delay 2m0s:")) {
			t.Errorf("%q: %v %v, want …%s…", tc.rule, s, err, tc.want)
		}
	}
}

// FuzzParse: what can be read has a canonical form that reads the same.
func FuzzParse(f *testing.F) {
	for _, rule := range []string{"servfail ns ns01 name '*.blob.*' for 5m", "delay 1s jitter 1s", "wrong-ns a. b.", "oversize 9 client ::/0", "drop name \\000*.x count 3", `drop name a\.`} {
		f.Add(rule)
	}
	f.Fuzz(func(t *testing.T, rule string) {
		s, err := parseLine(rule)
		if err != nil {
			return
		}
		if again, err := parseLine(s.text()); err != nil || again.text() != s.text() {
			t.Errorf("%q: %q, then %v %v", rule, s.text(), again, err)
		}
	})
}

// TestSeed: the same seed makes the same choices, another one others, and about as many
// as the rule says.
func TestSeed(t *testing.T) {
	choices := func(seed int) string {
		s, err := parseLine(fmt.Sprintf("servfail probability 0.25 seed %d", seed))
		if err != nil {
			t.Fatal(err)
		}
		r := newRule(s, "x", fromRuntime, time.Now())
		var b strings.Builder
		for range 4000 {
			if _, ok := r.take(); ok {
				b.WriteByte('x')
			} else {
				b.WriteByte('.')
			}
		}
		return b.String()
	}
	one := choices(1)
	if one != choices(1) || one == choices(2) {
		t.Error("the seed does not decide")
	}
	if n := strings.Count(one, "x"); n < 900 || n > 1100 {
		t.Errorf("%d of 4000 for 0.25", n)
	}
	s, err := parseLine("delay 100ms jitter 40ms seed 3")
	if err != nil {
		t.Fatal(err)
	}
	r := newRule(s, "x", fromRuntime, time.Now())
	least, most := time.Hour, time.Duration(0)
	for range 1000 {
		chance, _ := r.take()
		d := r.late(chance)
		least, most = min(least, d), max(most, d)
	}
	if least < 60*time.Millisecond || least > 62*time.Millisecond || most > 140*time.Millisecond || most < 138*time.Millisecond {
		t.Errorf("jitter from %s to %s", least, most)
	}
}

// FuzzEdit: whatever a forwarder answers, the walk over its records ends, stays in
// bounds and changes no length.
func FuzzEdit(f *testing.F) {
	m := new(dns.Msg).SetQuestion("x.example.org.", dns.TypeSOA)
	for _, text := range []string{"example.org. 60 IN SOA ns.example.org. m.example.org. 1 2 3 4 5", "example.org. 60 IN NS ns.example.org."} {
		rr, _ := dns.NewRR(text)
		m.Answer = append(m.Answer, rr)
	}
	packet, _ := m.Pack()
	f.Add(packet, 12)
	f.Fuzz(func(t *testing.T, packet []byte, at int) {
		before := len(packet)
		n, end := 0, at
		whole := walk(packet, at, func(rr record) bool {
			if rr.start != end || rr.data <= rr.start || rr.end < rr.data || rr.end > len(packet) {
				t.Fatalf("record %+v behind %d", rr, end)
			}
			n, end = n+1, rr.end
			return true
		})
		if whole && n > len(packet)/11+1 {
			t.Errorf("%d records in %d octets", n, len(packet))
		}
		age(packet, at, 1)
		if len(packet) != before {
			t.Error("the length changed")
		}
	})
}
