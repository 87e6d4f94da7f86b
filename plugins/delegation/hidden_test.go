package delegation

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
)

func TestHidden(t *testing.T) {
	now := time.Now()
	gateway, own, plain := netip.MustParseAddr("172.17.0.1"), netip.MustParseAddr("172.17.0.2"), netip.MustParseAddr("192.0.2.53")
	several := func(w *window) { w.paths = [2]bool{true, true}; w.cookies = true }
	for name, tc := range map[string]struct {
		source netip.Addr
		change func(*window)
		want   string
	}{
		"gateway":        {gateway, func(*window) {}, "default gateway"},
		"own address":    {own, func(*window) {}, "an address of this host"},
		"one resolver":   {plain, func(*window) {}, ""},
		"RD both ways":   {plain, func(w *window) { w.paths = [2]bool{true, true} }, ""},
		"several":        {plain, several, "differ"},
		"two sources":    {gateway, func(w *window) { w.many = true }, ""},
		"sizes, cookies": {plain, func(w *window) { w.sizes, w.cookies = true, true }, "differ"},
	} {
		h := hidden{read: now, gateways: []netip.Addr{gateway}, own: []netip.Addr{own}}
		w := window{queries: windowQueries, source: sourceOf(tc.source)}
		tc.change(&w)
		changed := h.judge(&w, now)
		addr, text := h.get()
		if addr.IsValid() != (tc.want != "") || changed != addr.IsValid() || !strings.Contains(text, tc.want) {
			t.Errorf("%s: %v %q", name, addr, text)
		}
		if addr.IsValid() && (!strings.Contains(text, "proxyproto") || !strings.Contains(text, "host networking")) {
			t.Errorf("%s: no advice in %q", name, text)
		}
		if h.judge(&w, now) {
			t.Errorf("%s: the same again is a change", name)
		}
	}
}

// TestWindow says what a worker notes of sources.
func TestWindow(t *testing.T) {
	one, two, self := source{1, 1}, source{2, 2}, source{0, mapped<<32 | 127<<24 | 1}
	query := &server.Query{}
	query.EDNS.Size = 1232
	add := func(facts ...facts) *window {
		w := new(window)
		for i := range facts {
			w.add(query, &facts[i])
		}
		return w
	}
	if w := add(facts{src: one}, facts{src: two}); !w.many {
		t.Error("two sources are one")
	}
	if w := add(facts{src: self}, facts{src: one}, facts{src: source{0, 1}}); w.many || w.queries != 1 || w.source != one {
		t.Errorf("this host's own queries are others': %+v", w)
	}
	if w := add(facts{src: one, cookie: 3, ns: 1}, facts{src: one, cookie: 5, ns: 2}, facts{src: one, cookie: 3, ns: 1}); w.cookies || w.natures() != 0 {
		t.Error("a cookie for each name server is more than one nature")
	}
	if w := add(facts{src: one, cookie: 3, ns: 1}, facts{src: one, cookie: 5, ns: 1, flags: 1}); !w.cookies || w.natures() != 2 {
		t.Error("two clients' cookies are one")
	}
	var sum window
	sum.merge(add(facts{src: one, edns: ednsZero}))
	query.EDNS.Size = 512
	sum.merge(new(window))
	sum.merge(add(facts{src: one, edns: ednsZero}))
	if !sum.sizes || sum.many || sum.queries != 2 {
		t.Errorf("%+v", sum)
	}
	sum.merge(add(facts{src: two}))
	if !sum.many {
		t.Error("two workers' sources are one")
	}
}

// TestHiddenFlaps says that a verdict which turns out wrong is given less and less
// often.
func TestHiddenFlaps(t *testing.T) {
	now, gateway := time.Now(), netip.MustParseAddr("192.0.2.1")
	h := hidden{read: now, gateways: []netip.Addr{gateway}}
	changes := 0
	for n := range 1000 {
		w := window{queries: windowQueries, source: sourceOf(gateway), many: n%5 == 4}
		if h.judge(&w, now) {
			changes++
		}
	}
	if changes < 2 || changes > 6 {
		t.Errorf("%d changes", changes)
	}
	w := window{queries: windowQueries, source: sourceOf(gateway)}
	for range mostRows {
		h.judge(&w, now)
	}
	if addr, _ := h.get(); addr != gateway {
		t.Error("what is so for long is not said any more")
	}
}

// TestLoopbackHidesNothing says that queries from this host are all right.
func TestLoopbackHidesNothing(t *testing.T) {
	s := start(t, "")
	for range windowQueries {
		s.ask(1, iterative(portal, dns.TypeA))
	}
	s.want(map[string]string{"source_hidden": "0"})
	if strings.Contains(s.Log(), "All queries come from") {
		t.Error("loopback hides sources")
	}
}
