//go:build interop

package interop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// reading is what a server made of a zone file: the records, sorted, a line each,
// or none where it refused the file.
type reading struct {
	records string
	refused bool
	err     error // why we refused it
}

// readBIND, readNSD and readKnot have one process of the server load all zones,
// with the settings that it has by itself, and transfer them: a zone that is
// refused has no records.
func readBIND(t *testing.T, l *lab, dir string, origins []string) []reading {
	h := l.host("bind", "192.0.2.21")
	conf := []string{
		"controls { };", "options {", fmt.Sprintf("directory %q;", dir),
		fmt.Sprintf("listen-on { %s; };", h.addr), "listen-on-v6 { none; };",
		"pid-file none;", "session-keyfile none;", "recursion no;", "notify no;",
		"allow-transfer { any; };", "transfers-out 1000;", "empty-zones-enable no;", "dnssec-validation no;", "};",
	}
	for _, origin := range origins {
		conf = append(conf, fmt.Sprintf("zone %q { type primary; file %q; };", origin, filepath.Join(dir, origin)))
	}
	p := h.start(t, "named", "named", "-g", "-n", "2", "-c", write(t, t.TempDir(), "named.conf", conf...))
	// It answers before it has tried all zones, and says nothing behind this.
	p.ready(func() error {
		if !strings.Contains(p.log.String(), "all zones loaded") {
			return errors.New("zones are still being loaded")
		}
		return nil
	})
	return transferAll(t, l, h, p, origins)
}

func readNSD(t *testing.T, l *lab, dir string, origins []string) []reading {
	h, own := l.host("nsd", "192.0.2.22"), t.TempDir()
	conf := []string{
		"server:", fmt.Sprintf("  ip-address: %s", h.addr), "  server-count: 1", "  username: \"\"", "  chroot: \"\"",
		"  database: \"\"", "  pidfile: \"\"", "  rrl-ratelimit: 0",
		fmt.Sprintf("  zonesdir: %q", dir), fmt.Sprintf("  xfrdir: %q", own),
		fmt.Sprintf("  xfrdfile: %q", filepath.Join(own, "xfrd.state")),
		fmt.Sprintf("  zonelistfile: %q", filepath.Join(own, "zone.list")),
		"remote-control:", "  control-enable: no",
	}
	for _, origin := range origins {
		conf = append(conf, "zone:", fmt.Sprintf("  name: %q", origin), fmt.Sprintf("  zonefile: %q", filepath.Join(dir, origin)),
			"  provide-xfr: 0.0.0.0/0 NOKEY")
	}
	p := h.start(t, "nsd", "nsd", "-d", "-c", write(t, own, "nsd.conf", conf...))
	return transferAll(t, l, h, p, origins)
}

func readKnot(t *testing.T, l *lab, dir string, origins []string) []reading {
	h, own := l.host("knot", "192.0.2.23"), t.TempDir()
	conf := []string{
		"server:", fmt.Sprintf("    listen: %s@53", h.addr), fmt.Sprintf("    rundir: %q", own),
		"log:", "  - target: stderr", "    any: error",
		"acl:", "  - id: any", "    address: 0.0.0.0/0", "    action: transfer",
		"database:", fmt.Sprintf("    storage: %q", own),
		"template:", "  - id: default", "    journal-content: none", "    zonefile-sync: -1", "    acl: any",
		"zone:",
	}
	for _, origin := range origins {
		conf = append(conf, fmt.Sprintf("  - domain: %q", origin), fmt.Sprintf("    file: %q", filepath.Join(dir, origin)))
	}
	p := h.start(t, "knotd", "knotd", "-c", write(t, own, "knot.conf", conf...))
	return transferAll(t, l, h, p, origins)
}

// transferAll transfers the zones from a server that has just been started. NSD
// and Knot answer once they have tried all. The first and the last are good ones.
func transferAll(t *testing.T, l *lab, h *host, p *process, origins []string) []reading {
	t.Helper()
	client := l.host("of-"+p.name, netip.AddrFrom4([4]byte{198, 51, 100, byte(100 + l.ports)}).String())
	p.ready(client.answers(h.addr, origins[0]))
	p.ready(client.answers(h.addr, origins[len(origins)-1]))
	c, err := client.dial("tcp", h.addr, startTime)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { c.close() }()
	all := make([]reading, len(origins))
	for i, origin := range origins {
		if all[i], err = transfer(c.conn.Conn, origin); err != nil {
			t.Fatalf("%s: transfer of %s: %v", p.name, origin, err)
		}
	}
	return all
}

// transfer is the zone as the server at conn has it (RFC 5936).
func transfer(conn net.Conn, origin string) (reading, error) {
	q := new(dns.Msg)
	q.SetAxfr(origin)
	packet, err := q.Pack()
	if err != nil {
		return reading{}, err
	}
	conn.SetDeadline(time.Now().Add(startTime))
	if _, err := (&dns.Conn{Conn: conn}).Write(packet); err != nil {
		return reading{}, err
	}
	var lines []string
	for soas := 0; soas < 2; {
		msg, err := (&dns.Conn{Conn: conn}).ReadMsgHeader(nil)
		if err != nil {
			return reading{}, err
		}
		if rcode := msg[3] & 0xF; rcode != dns.RcodeSuccess {
			return reading{refused: true}, nil
		}
		got, n, err := messageRecords(msg, origin)
		if err != nil {
			return reading{}, err
		}
		lines = append(lines, got...)
		soas += n
	}
	return reading{records: joinRecords(lines)}, nil
}

// messageRecords are the records of a message's answer section, and how many of
// them are the zone's SOA.
func messageRecords(msg []byte, origin string) (lines []string, soas int, err error) {
	off := 12
	for range binary.BigEndian.Uint16(msg[4:]) {
		if _, off, err = expandName(msg, off); err != nil {
			return nil, 0, err
		}
		off += 4
	}
	for range binary.BigEndian.Uint16(msg[6:]) {
		var owner []byte
		if owner, off, err = expandName(msg, off); err != nil {
			return nil, 0, err
		}
		rrtype, ttl := binary.BigEndian.Uint16(msg[off:]), binary.BigEndian.Uint32(msg[off+4:])
		start := off + 10
		off = start + int(binary.BigEndian.Uint16(msg[off+8:]))
		data, err := expandData(msg, rrtype, start, off)
		if err != nil {
			return nil, 0, err
		}
		if rrtype == dns.TypeSOA && wire.Name(owner).String() == origin {
			soas++
		}
		lines = append(lines, recordLine(owner, rrtype, ttl, data))
	}
	return lines, soas, nil
}

// recordLine writes a record so that equal means equal: NSD has names in lower
// case, and servers compress against others.
func recordLine(owner []byte, rrtype uint16, ttl uint32, data []byte) string {
	lower := slices.Clone(owner)
	wire.Lower(wire.Name(lower))
	return fmt.Sprintf("%s %d %s %x", wire.Name(lower), ttl, dns.Type(rrtype), data)
}

// joinRecords puts the lines in order, each once.
func joinRecords(lines []string) string {
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n")
}

// compressible has the types whose names a server may compress: the octets before
// the first, and how many there are (RFC 1035 section 3.3, RFC 3597 section 4).
var compressible = map[uint16]struct{ skip, names int }{
	dns.TypeNS: {0, 1}, dns.TypeMD: {0, 1}, dns.TypeMF: {0, 1}, dns.TypeCNAME: {0, 1}, dns.TypeSOA: {0, 2},
	dns.TypeMB: {0, 1}, dns.TypeMG: {0, 1}, dns.TypeMR: {0, 1}, dns.TypePTR: {0, 1}, dns.TypeMINFO: {0, 2},
	dns.TypeMX: {2, 1}, dns.TypeRP: {0, 2}, dns.TypeAFSDB: {2, 1}, dns.TypeRT: {2, 1}, dns.TypePX: {2, 2},
}

// expandData is a record's data without compression.
func expandData(msg []byte, rrtype uint16, off, end int) ([]byte, error) {
	form, ok := compressible[rrtype]
	if !ok {
		return msg[off:end], nil
	}
	data := slices.Clone(msg[off : off+form.skip])
	off += form.skip
	for range form.names {
		name, next, err := expandName(msg, off)
		if err != nil {
			return nil, err
		}
		data, off = append(data, name...), next
	}
	return append(data, msg[off:end]...), nil
}

// expandName is the name at off in wire form, and what follows it.
func expandName(msg []byte, off int) (name []byte, next int, err error) {
	text, next, err := dns.UnpackDomainName(msg, off)
	if err != nil {
		return nil, 0, err
	}
	buf := make([]byte, wire.MaxName)
	n, err := dns.PackDomainName(text, buf, 0, nil, false)
	return buf[:n], next, err
}

// readOurs is what we make of the files.
func readOurs(dir string, origins []string) []reading {
	all := make([]reading, len(origins))
	for i, origin := range origins {
		z, _, err := zones.Load(source(dir, origin))
		if err != nil {
			all[i] = reading{refused: true, err: err}
			continue
		}
		var lines []string
		for r := range z.Records() {
			lines = append(lines, recordLine(r.Owner, r.Type, r.TTL, r.Data))
		}
		all[i] = reading{records: joinRecords(lines)}
	}
	return all
}

// source is the zone in the file that has its name. Origins are the test's own.
func source(dir, origin string) zones.Source {
	name, err := wire.ParseName(origin)
	if err != nil {
		panic(err)
	}
	return zones.FileSource(filepath.Join(dir, origin), name)
}

// putAll writes files, and fails the test where it cannot.
func putAll(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
