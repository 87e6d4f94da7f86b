//go:build linux

package main

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// fixture is a zone that has been three versions.
func fixture() *zone {
	z := &zone{origin: "z.example.", version: 3}
	z.history = newHistory(time.Hour, func() time.Duration { return 0 }, content{version: 1})
	z.history.begin(content{version: 2})
	z.history.begin(content{version: 3})
	return z
}

// origin is the fixture's name.
func origin() wire.Name { return wire.Name("\x01z\x07example\x00") }

func load(text string) (*zones.Zone, error) {
	z, _, err := zones.Load(zones.TextSource("test", []byte(text), origin()))
	return z, err
}

// version loads one version of the fixture.
func version(t *testing.T, z *zone, v uint32) *zones.Zone {
	t.Helper()
	loaded, err := load(z.text(v))
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// answer has our own zones answer a question.
func answer(t *testing.T, z *zones.Zone, q *question) []byte {
	t.Helper()
	store := zones.NewStore()
	if err := store.Declare(origin(), "test"); err != nil {
		t.Fatal(err)
	}
	store.Put(z, 0, time.Now())
	name, err := wire.ParseName(q.name)
	if err != nil {
		t.Fatal(err)
	}
	end := q.end
	reply := append([]byte{}, q.packet[:end]...)
	reply[2], reply[10], reply[11] = 0x80|q.packet[2]&1, 0, 0
	room := q.limit()
	if q.edns {
		room -= 11
	}
	reply, _ = store.Set().Answer(reply, zones.Question{Name: name, Type: q.qtype, DO: q.do, Stream: q.tcp}, room)
	if len(reply) > room {
		reply = append(append([]byte{}, reply[:2]...), reply[2:end]...)
		reply[2] |= 2
		clear(reply[6:12])
	}
	if q.edns {
		flags := byte(0)
		if q.do {
			flags = 0x80
		}
		reply = append(reply, 0, 0, 41, 1232>>8, 1232&0xFF, 0, 0, flags, 0, 0, 0)
		reply[11]++
	}
	return reply
}

func questions(t *testing.T, z *zone, tcp bool) (out []*question) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for range 6 {
		shapes := z.shapes(r)
		if tcp {
			shapes = append(shapes, z.whole())
		}
		for _, sh := range shapes {
			q, err := newQuestion(sh, z.history, tcp, r)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, q)
		}
	}
	return out
}

// TestIdentify has answers from each version told apart.
func TestIdentify(t *testing.T) {
	z := fixture()
	for _, tcp := range []bool{false, true} {
		for _, q := range questions(t, z, tcp) {
			for _, v := range []uint32{1, 3, 2, 2} {
				reply := answer(t, version(t, z, v), q)
				c, err := q.identify(reply)
				if err != nil {
					t.Errorf("%s, version %d: %v", q, v, err)
				} else if c != (content{version: v}) && !(c == content{} && reply[2]&2 != 0) {
					t.Errorf("%s, version %d: taken for %s", q, v, c)
				}
			}
			if c, err := q.identify(answer(t, version(t, z, 9), q)); err == nil && c != (content{}) {
				t.Errorf("%s: a version that never was is taken for %s", q, c)
			}
		}
	}
}

// TestHalves says that an answer from two versions at once is none: whatever has
// two records or more is found out for one mixture of lines at least.
func TestHalves(t *testing.T) {
	z := fixture()
	old, young := strings.SplitAfter(z.text(1), "\n"), strings.SplitAfter(z.text(2), "\n")
	for _, q := range questions(t, z, true) {
		found := false
		for i := range old {
			mixture := slices.Clone(young)
			mixture[i] = old[i]
			if z, err := load(strings.Join(mixture, "")); err == nil {
				_, err := q.identify(answer(t, z, q))
				found = found || err != nil
			}
		}
		versioned := len(q.want(1).answer) + len(q.want(1).extra)
		if q.qtype == dns.TypeNS {
			versioned = len(q.want(1).extra)
		}
		if versioned > 1 && !found {
			t.Errorf("%s: no mixture of versions is found out", q)
		}
	}
}

// TestBrokenAnswers says that a reply with anything changed in it is wrong.
func TestBrokenAnswers(t *testing.T) {
	z := fixture()
	for _, q := range questions(t, z, false) {
		good := answer(t, version(t, z, 2), q)
		if _, err := q.identify(good); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		for i := 2; i < len(good); i++ {
			for bit := range 8 {
				bad := append([]byte{}, good...)
				bad[i] ^= 1 << bit
				// The case of letters in records means nothing; nor does what OPT leaves open.
				c, err := q.identify(bad)
				if err == nil && c == (content{version: 2}) && !harmless(good, i, bit, q) {
					t.Errorf("%s: bit %d of octet %d of %x changed, and taken for %s", q, bit, i, good, c)
				}
			}
		}
		if _, err := q.identify(good[:len(good)-1]); err == nil {
			t.Errorf("%s: a reply without its end is taken", q)
		}
	}
}

// harmless says whether a bit of a reply has no meaning: the case of a letter, or
// the TTL's place in an OPT record.
func harmless(reply []byte, i, bit int, q *question) bool {
	letter := reply[i] | 0x20
	return bit == 5 && 'a' <= letter && letter <= 'z' && i >= q.end || q.edns && i >= len(reply)-11
}

// TestBrokenFiles says that what is to be broken is, also by half.
func TestBrokenFiles(t *testing.T) {
	z, r := fixture(), rand.New(rand.NewPCG(1, 2))
	isZone := func(text string) bool {
		_, err := load(text)
		return err == nil
	}
	for range 200 {
		text := z.broken(r)
		if n := r.IntN(len(text) + 1); isZone(text) || isZone(text[:n]) {
			t.Errorf("this is a zone, or its first %d octets are:\n%s", n, text)
		}
	}
	whole := z.text(2)
	if !isZone(whole) {
		t.Error("no zone")
	}
	for n := range len(whole) - 1 {
		if isZone(whole[:n]) {
			t.Fatalf("the first %d octets of %d are a zone", n, len(whole))
		}
	}
}

// TestAttacks says that the packets are what their names say.
func TestAttacks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, a := range attacks() {
		for range 20 {
			b := a.make(r)
			err := new(dns.Msg).Unpack(b)
			if a.rcode == dns.RcodeSuccess && err != nil {
				t.Errorf("%s: %x is to be answered: %v", a.name, b, err)
			}
		}
	}
	reply := new(dns.Msg).SetRcode(new(dns.Msg).SetQuestion("x.example.", dns.TypeA), dns.RcodeServerFailure)
	b, err := reply.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, rcode := range []int{noReply, anyReply, dns.RcodeRefused} {
		if a := (attack{rcode: rcode}); a.check(b) == nil {
			t.Errorf("SERVFAIL is right where %d is wanted", rcode)
		}
	}
	if a := (attack{rcode: dns.RcodeServerFailure}); a.check(b) == nil {
		t.Error("SERVFAIL is right")
	}
}
