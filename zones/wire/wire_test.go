package wire_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

func TestParseName(t *testing.T) {
	for text, want := range map[string]string{
		".":                     "\x00",
		"org":                   "\x03org\x00",
		"Example.ORG.":          "\x07example\x03org\x00",
		`a\.b.org`:              "\x03a.b\x03org\x00",
		`a\046b.org`:            "\x03a.b\x03org\x00",
		`\000\255\065.`:         "\x03\x00\xffa\x00",
		`\\.`:                   "\x01\\\x00",
		"*.blob.example.":       "\x01*\x04blob\x07example\x00",
		strings.Repeat("a", 63): "\x3f" + strings.Repeat("a", 63) + "\x00",
	} {
		got, err := wire.ParseName(text)
		if err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "..", ".a", "a..b", "a..", `a\`, `a\25`, `a\256`, `a\2x5`, strings.Repeat("a", 64),
		strings.Repeat("a.", 128), strings.Repeat(strings.Repeat("a", 63)+".", 4),
	} {
		if got, err := wire.ParseName(text); err == nil {
			t.Errorf("%q: got %q", text, got)
		}
	}
	if n, err := wire.ParseName(strings.Repeat("a.", 127)); err != nil || len(n) != wire.MaxName || n.Labels() != 127 {
		t.Errorf("the longest name: %d octets, %v", len(n), err)
	}
}

func TestAppendParsedOrigin(t *testing.T) {
	origin := []byte("\x07Example\x03org\x00")
	for text, want := range map[string]string{
		"@": "\x07Example\x03org\x00", "WWW": "\x03WWW\x07Example\x03org\x00", "www.": "\x03www\x00", `a\.`: "\x02a.\x07Example\x03org\x00",
	} {
		got, err := wire.AppendParsed([]byte("before"), text, origin)
		if err != nil || string(got) != "before"+want {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
	long := strings.Repeat("a.", 121) + "a"
	if got, err := wire.AppendParsed([]byte("before"), long+"aa", origin); err == nil || string(got) != "before" {
		t.Errorf("too long with its origin: %q, %v", got, err)
	}
}

func name(t testing.TB, s string) wire.Name {
	t.Helper()
	n, err := wire.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The order of the example in RFC 4034 section 6.1.
func TestCompare(t *testing.T) {
	var names []wire.Name
	for _, s := range []string{
		"example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.",
		"z.example.", `\001.z.example.`, "*.z.example.", `\200.z.example.`,
	} {
		names = append(names, name(t, s))
	}
	for i, a := range names {
		for j, b := range names {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := wire.Compare(a, b); got != want {
				t.Errorf("%s, %s: got %d, want %d", a, b, got, want)
			}
		}
	}
	if wire.Compare(wire.Root(), names[0]) != -1 {
		t.Error("the root is not first")
	}
}

func TestWithinAndParent(t *testing.T) {
	for _, c := range []struct {
		name, zone string
		want       bool
	}{
		{"example.org", "example.org", true}, {"a.Example.org", "example.org", true}, {"a.org", ".", true},
		{".", ".", true}, {".", "org", false}, {"anexample.org", "example.org", false},
		{"org", "example.org", false}, {`a\.org`, "org", false}, {`x.a\003org`, "org", false},
	} {
		if got := name(t, c.name).Within(name(t, c.zone)); got != c.want {
			t.Errorf("%s within %s: %t", c.name, c.zone, got)
		}
	}
	n, steps := name(t, "a.b.c"), 0
	for p, ok := n.Parent(); ok; p, ok = p.Parent() {
		steps++
		if !n.Within(p) || p.Labels() != 3-steps {
			t.Errorf("parent %s", p)
		}
	}
	if steps != 3 {
		t.Errorf("%d parents", steps)
	}
}

// Text that we write is read back the same, by us and by a second implementation,
// and its text by us.
func FuzzNameText(f *testing.F) {
	for _, b := range []string{"\x00", "\x03www\x00", "\x05a.b\\c\x01\"\x00", "\x04\x00\x7f\xff \x02@$\x00", "\x03();\x00", "\x3fx"} {
		f.Add([]byte(b))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		end, ok := wire.SkipName(b, 0)
		if !ok || end > wire.MaxName || slices.ContainsFunc(b[:end], func(c byte) bool { return c >= 0xC0 }) {
			return
		}
		n := wire.Name(bytes.Clone(b[:end]))
		wire.Lower(n)
		text := n.String()
		if back, err := wire.ParseName(text); err != nil || !bytes.Equal(back, n) {
			t.Fatalf("%q: %q, read back %q, %v", n, text, back, err)
		}
		packed := make([]byte, wire.MaxName+1)
		off, err := dns.PackDomainName(text, packed, 0, nil, false)
		if err != nil || !bytes.Equal(packed[:off], n) {
			t.Fatalf("%q: %q, miekg/dns packs %q, %v", n, text, packed[:off], err)
		}
		theirs, _, err := dns.UnpackDomainName(n, 0)
		if err != nil {
			return
		}
		if back, err := wire.ParseName(theirs); err != nil || !bytes.Equal(back, n) {
			t.Fatalf("%q: miekg/dns writes %q, read as %q, %v", n, theirs, back, err)
		}
		if n.Labels() != dns.CountLabel(theirs) {
			t.Fatalf("%q: %d labels, miekg/dns counts %d", n, n.Labels(), dns.CountLabel(theirs))
		}
	})
}

// Letters become lower case, and no other octet changes, wherever it stands.
func TestLower(t *testing.T) {
	for n := range 20 {
		for at := range n {
			for c := range 256 {
				got := bytes.Repeat([]byte{'Z', 0x80, 0xFF}, 7)[:n]
				got[at] = byte(c)
				want := bytes.Clone(got)
				for i, c := range want {
					if 'A' <= c && c <= 'Z' {
						want[i] = c + 'a' - 'A'
					}
				}
				if wire.Lower(got); !bytes.Equal(got, want) {
					t.Fatalf("octet %d of %d is %#x: got %x, want %x", at, n, c, got, want)
				}
			}
		}
	}
}

// Text from outside never panics, and what we take is a name.
func FuzzParseName(f *testing.F) {
	for _, s := range []string{".", "a.b.", `a\.b`, `\001`, `\`, "@", "a..b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := wire.ParseName(s)
		if err != nil {
			return
		}
		if end, ok := wire.SkipName(n, 0); !ok || end != len(n) || len(n) > wire.MaxName {
			t.Fatalf("%q: %q is no name", s, n)
		}
		if back := name(t, n.String()); wire.Compare(back, n) != 0 {
			t.Fatalf("%q: %q, read back %q", s, n, back)
		}
	})
}

// The readers agree with miekg/dns on what a query says.
func FuzzQuestionAndEDNS(f *testing.F) {
	for _, s := range []string{".", "www.example.org.", `a\.b.org.`} {
		m := new(dns.Msg)
		m.SetQuestion(s, dns.TypeA)
		add := func() {
			b, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
		add()
		m.SetEdns0(4096, true)
		o := m.IsEdns0()
		o.Option = append(o.Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID}, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"})
		add()
		m.Extra = append(m.Extra, &dns.A{Hdr: dns.RR_Header{Name: s, Rrtype: dns.TypeA, Class: 1}, A: []byte{192, 0, 2, 1}})
		add()
		m.Extra = append(m.Extra, tsig("key."+strings.TrimPrefix(s, ".")))
		m.Compress = true
		add()
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) < wire.HeaderLen {
			return
		}
		var buf [wire.MaxName]byte
		q, ok := wire.ParseQuestion(msg, &buf)
		m := new(dns.Msg)
		err := m.Unpack(msg)
		if !ok {
			if err == nil && len(m.Question) > 0 && !bytes.Contains(msg, []byte{0xC0}) && wire.Count(msg, wire.CountQD) == 1 {
				checkRefused(t, msg, m)
			}
			return
		}
		if end, ok := wire.SkipName(q.Name, 0); !ok || end != len(q.Name) {
			t.Fatalf("question %q is no name", q.Name)
		}
		if wire.Count(msg, wire.CountQD) != 1 {
			return
		}
		e, sig, ok := wire.ParseExtra(msg, q.End)
		if data, found := e.Option(wire.OptionNSID); found && len(data) > len(e.Options) {
			t.Fatal("option longer than all of them")
		}
		if !ok || err != nil || len(m.Question) != 1 {
			return
		}
		compare(t, q, e, m)
		if sig.Present {
			compareTSIG(t, msg, sig, m)
		}
	})
}

// checkRefused: the one question that we refuse and miekg/dns reads is one whose
// name is compressed or too long.
func checkRefused(t *testing.T, msg []byte, m *dns.Msg) {
	if end, ok := wire.SkipName(msg, wire.HeaderLen); ok && msg[wire.HeaderLen] < 0xC0 && end+4 <= len(msg) &&
		end-wire.HeaderLen <= wire.MaxName && !slices.ContainsFunc(msg[wire.HeaderLen:end], func(c byte) bool { return c > 0xC0 }) {
		t.Fatalf("refused: %s", m)
	}
}

func compare(t *testing.T, q wire.Question, e wire.EDNS, m *dns.Msg) {
	theirs := m.Question[0]
	if n := name(t, theirs.Name); !bytes.Equal(n, q.Name) || theirs.Qtype != q.Type || theirs.Qclass != q.Class {
		t.Fatalf("read %s %d %d, miekg/dns %s", q.Name, q.Type, q.Class, theirs.String())
	}
	o := m.IsEdns0()
	if (o != nil) != e.Present {
		t.Fatalf("OPT present: %t, miekg/dns: %v", e.Present, o)
	}
	if o == nil {
		return
	}
	if o.Version() != e.Version || o.UDPSize() != e.Size || o.Do() != e.DO || uint16(o.Hdr.Ttl) != e.Flags {
		t.Fatalf("read %+v, miekg/dns %s", e, o)
	}
}

// tsig is a TSIG record that some client could have sent.
func tsig(key string) *dns.TSIG {
	return &dns.TSIG{
		Hdr:       dns.RR_Header{Name: key, Rrtype: dns.TypeTSIG, Class: dns.ClassANY},
		Algorithm: dns.HmacSHA256, TimeSigned: 0x0102_0304_0506, Fudge: 300,
		MACSize: 4, MAC: "c0ffee00", OrigId: 0x1234, OtherLen: 2, OtherData: "abcd",
	}
}

// compareTSIG holds the record of a reply to the one in the query m.
func compareTSIG(t *testing.T, msg []byte, sig wire.TSIG, m *dns.Msg) {
	want, ok := m.Extra[len(m.Extra)-1].(*dns.TSIG)
	if !ok {
		t.Fatalf("read a TSIG, miekg/dns %s", m)
	}
	reply := sig.AppendError(make([]byte, wire.HeaderLen), msg, wire.TSIGBadKey)
	if len(reply) != wire.HeaderLen+sig.ErrorLen() {
		t.Fatalf("%d octets, not %d", len(reply)-wire.HeaderLen, sig.ErrorLen())
	}
	wire.SetCount(reply, wire.CountAR, 1)
	r := new(dns.Msg)
	if err := r.Unpack(reply); err != nil {
		t.Fatalf("%v: % x", err, reply)
	}
	got := r.Extra[0].(*dns.TSIG)
	if got.Hdr.Name != want.Hdr.Name || got.Hdr.Class != dns.ClassANY || got.Hdr.Ttl != 0 || got.Algorithm != want.Algorithm ||
		got.TimeSigned != want.TimeSigned || got.Fudge != want.Fudge || got.OrigId != want.OrigId ||
		got.Error != dns.RcodeBadKey || got.MACSize != 0 || got.OtherLen != 0 {
		t.Fatalf("got  %s\nfrom %s", got, want)
	}
}

// TestTSIG has keys whose names are compressed, and not; and records that are no
// TSIG as RFC 8945 section 4.2 has it, or not where section 5.1 wants it.
func TestTSIG(t *testing.T) {
	query := func(change func(*dns.Msg)) []byte {
		m := new(dns.Msg)
		m.SetQuestion("www.Example.org.", dns.TypeA)
		m.Compress = true
		m.Extra = []dns.RR{tsig("Key.Example.org.")}
		change(m)
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	parse := func(b []byte) (wire.EDNS, wire.TSIG, bool) {
		q, ok := wire.ParseQuestion(b, new([wire.MaxName]byte))
		if !ok {
			t.Fatal("no question")
		}
		return wire.ParseExtra(b, q.End)
	}
	opt := func(m *dns.Msg) *dns.OPT { return m.SetEdns0(1232, false).Extra[len(m.Extra)-1].(*dns.OPT) }
	for what, change := range map[string]func(*dns.Msg){
		"compressed": func(*dns.Msg) {},
		"plain":      func(m *dns.Msg) { m.Compress = false },
		"root":       func(m *dns.Msg) { m.Extra = []dns.RR{tsig(".")} },
		"longest":    func(m *dns.Msg) { m.Extra = []dns.RR{tsig(strings.Repeat("a.", 127))} },
		"behind OPT": func(m *dns.Msg) { m.Extra = []dns.RR{opt(m), tsig("key.")} },
	} {
		b := query(change)
		m := new(dns.Msg)
		if err := m.Unpack(b); err != nil {
			t.Fatal(err)
		}
		e, sig, ok := parse(b)
		if !ok || !sig.Present || e.Present != (len(m.Extra) == 2) {
			t.Errorf("%s: %+v %+v %t", what, e, sig, ok)
			continue
		}
		compareTSIG(t, b, sig, m)
	}
	for what, change := range map[string]func(*dns.Msg){
		"before OPT":   func(m *dns.Msg) { m.Extra = []dns.RR{tsig("key."), opt(m)} },
		"twice":        func(m *dns.Msg) { m.Extra = append(m.Extra, tsig("key.")) },
		"in answer":    func(m *dns.Msg) { m.Answer, m.Extra = m.Extra, nil },
		"in authority": func(m *dns.Msg) { m.Ns, m.Extra = m.Extra, nil },
		"class IN":     func(m *dns.Msg) { m.Extra[0].Header().Class = dns.ClassINET },
	} {
		if _, sig, ok := parse(query(change)); ok {
			t.Errorf("%s: read %+v", what, sig)
		}
	}
	whole := query(func(m *dns.Msg) { m.Compress = false })
	const dataLen = 13 + 10 + 4 + 6 + 2 // hmac-sha256., times, MAC, trailer, other data
	at := len(whole) - dataLen
	if _, _, ok := parse(whole); !ok || whole[at-1] != dataLen {
		t.Fatalf("not %d octets of data: % x", dataLen, whole)
	}
	for n := range dataLen {
		b := bytes.Clone(whole[:at+n])
		b[at-1] = byte(n)
		if _, sig, ok := parse(b); ok {
			t.Errorf("%d octets of data: read %+v", n, sig)
		}
	}
	longer := append(bytes.Clone(whole), 0)
	longer[at-1]++
	pointed := slices.Concat(whole[:at], []byte("\xc0\x0c"), whole[at+13:])
	pointed[at-1] = dataLen - 11
	// The key's name behind the question, and what it may point to.
	owner := func(octets string) []byte {
		const key = "\x03Key\x07Example\x03org\x00"
		start := bytes.Index(whole, []byte(key))
		return slices.Concat(whole[:start], []byte(octets), whole[start+len(key):])
	}
	if _, sig, ok := parse(owner("\x01a\xc0\x10")); !ok || sig.ErrorLen() != 2+13+10+13+16 {
		t.Errorf("pointer into the question: %+v, %t", sig, ok)
	}
	// As long as a name can be, and one octet longer.
	labels := strings.Repeat("\x3f"+strings.Repeat("a", 63), 3)
	if _, sig, ok := parse(owner(labels + "\x31" + strings.Repeat("a", 49) + "\xc0\x10")); !ok || sig.ErrorLen() != 255+10+13+16 {
		t.Errorf("the longest name: %+v, %t", sig, ok)
	}
	for what, b := range map[string][]byte{
		"data goes on": longer, "compressed algorithm": pointed,
		"pointer to itself": owner("\xc0\x21"), "pointer to its own labels": owner("\x01a\xc0\x21"),
		"pointer ahead": owner("\xc0\x23"), "pointer out": owner("\xff\xff"),
		"too long": owner(labels + "\x32" + strings.Repeat("a", 50) + "\xc0\x10"),
	} {
		if _, sig, ok := parse(b); ok {
			t.Errorf("%s: read %+v", what, sig)
		}
	}
}

// TestQuestionName has names of all lengths around the longest (RFC 1035 section
// 2.3.4), in labels of 61 to 63 octets.
func TestQuestionName(t *testing.T) {
	for last := 59; last <= 63; last++ {
		packet := make([]byte, wire.HeaderLen)
		for _, n := range []int{63, 63, 63, last} {
			packet = append(append(packet, byte(n)), strings.Repeat("A", n)...)
		}
		packet = append(packet, 0, 0, 1, 0, 1)
		length := 3*64 + 1 + last + 1
		q, ok := wire.ParseQuestion(packet, new([wire.MaxName]byte))
		if ok != (length <= 255) {
			t.Errorf("a name of %d octets: read %t", length, ok)
		}
		if ok && (len(q.Name) != length || q.Type != 1 || q.Class != 1 || q.End != len(packet)) {
			t.Errorf("a name of %d octets: %d octets, %+v", length, len(q.Name), q)
		}
	}
}

func TestAppendOPT(t *testing.T) {
	options := wire.AppendOption(nil, wire.OptionNSID, []byte("ns"), []byte("01"))
	options = wire.AppendOption(options, wire.OptionEDE, []byte{0, 20})
	msg := make([]byte, wire.HeaderLen)
	wire.SetCount(msg, wire.CountAR, 1)
	wire.SetFlags(msg, wire.FlagQR|wire.FlagAA)
	wire.SetRCode(msg, 0)
	msg = wire.AppendOPT(msg, 1232, 1, true, options)
	m := new(dns.Msg)
	if err := m.Unpack(msg); err != nil {
		t.Fatal(err)
	}
	o := m.IsEdns0()
	if o.UDPSize() != 1232 || !o.Do() || m.Rcode != dns.RcodeBadVers || o.Version() != 0 || len(o.Option) != 2 ||
		o.Option[0].(*dns.EDNS0_NSID).Nsid != "6e733031" || o.Option[1].(*dns.EDNS0_EDE).InfoCode != 20 {
		t.Errorf("got %s", o)
	}
	e, sig, ok := wire.ParseExtra(msg, wire.HeaderLen)
	if !ok || sig.Present || e.Size != 1232 || !e.DO || e.Version != 0 {
		t.Errorf("read back %+v, %t", e, ok)
	}
	if data, found := e.Option(wire.OptionNSID); !found || string(data) != "ns01" {
		t.Errorf("NSID %q", data)
	}
	if _, found := e.Option(10); found {
		t.Error("found an option that is not there")
	}
}

func TestHeader(t *testing.T) {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{
		Id: 0x1234, Response: true, Opcode: dns.OpcodeNotify, Truncated: true, RecursionDesired: true,
		CheckingDisabled: true, Rcode: dns.RcodeRefused,
	}}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if wire.ID(b) != m.Id || int(wire.Opcode(b)) != m.Opcode || int(wire.RCode(b)) != m.Rcode {
		t.Errorf("got %x", b)
	}
	if got, want := wire.Flags(b)&^0x780F, wire.FlagQR|wire.FlagTC|wire.FlagRD|wire.FlagCD; got != want {
		t.Errorf("flags %x, want %x", got, want)
	}
}
