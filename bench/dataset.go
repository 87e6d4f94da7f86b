//go:build linux

package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// dataset is what a server loads: the two zones of a stamp and, beside them, the
// zones that users made, all as master files.
type dataset struct {
	name  string
	stamp []zoneFile
	user  []zoneFile
	// folder holds all user zones and nothing else, where there are too many of
	// them to be named one by one.
	folder string
	// draw makes a question about these zones.
	draw func(*rand.Rand) question
	// edit makes the next version of one zone: it writes the new file beside the
	// old one and returns both paths, and the question that tells them apart.
	edit func(version int) (edit, error)
	// upstream answers the questions where they are not about zones but to be
	// forwarded. cached is how many answers a cache must hold; 0 means no cache.
	upstream netip.AddrPort
	cached   int
}

// zoneFile is a master file and the zone in it, an absolute name.
type zoneFile struct{ origin, path string }

// edit is a change of a zone that is made by renaming a file.
type edit struct {
	zone     zoneFile
	fresh    string // the new content's path
	question question
}

// zones are all zones of the dataset.
func (d *dataset) zones() []zoneFile { return append(d.stamp[:len(d.stamp):len(d.stamp)], d.user...) }

// address is the i-th address of 198.18.0.0/15, which RFC 2544 section C.2.2
// sets aside for benchmarks.
func address(i int) string { return fmt.Sprintf("198.%d.%d.%d", 18+i>>16&1, i>>8&255, i&255) }

// label is the i-th label of a zone with many: in order, as a zone that is
// transferred or printed has its names, which also suits the peers best.
func label(i int) string { return fmt.Sprintf("host%07d", i) }

// writeZone writes a master file: $ORIGIN, SOA and NS, then what body writes.
func writeZone(path, origin string, serial int, body func(w *bufio.Writer)) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := bufio.NewWriterSize(file, 1<<16)
	fmt.Fprintf(w, "$ORIGIN %s\n$TTL 3600\n", origin)
	fmt.Fprintf(w, "@ IN SOA ns1 hostmaster %d 3600 300 2419200 300\n", serial)
	fmt.Fprintf(w, "@ IN NS ns1\n@ IN NS ns2\nns1 IN A 192.0.2.11\nns2 IN A 192.0.2.12\n")
	body(w)
	if err := w.Flush(); err != nil {
		return err
	}
	return file.Close()
}

// The names of the datasets that are one big zone.
const (
	largeZone    = "large.example."
	referralZone = "referral.example."
)

// newLarge makes a zone of so many names with an address each.
func newLarge(dir string, names int, stamp []zoneFile) (*dataset, error) {
	zone := zoneFile{largeZone, filepath.Join(dir, "db.large.example")}
	write := func(path string, version int) error {
		return writeZone(path, largeZone, version, func(w *bufio.Writer) {
			fmt.Fprintf(w, "changes IN A %s\n", address(version))
			for i := range names {
				fmt.Fprintf(w, "%s IN A %s\n", label(i), address(i))
			}
		})
	}
	d := &dataset{name: fmt.Sprintf("large-%d", names), stamp: stamp, user: []zoneFile{zone}}
	d.draw = func(r *rand.Rand) question {
		n, kind := r.IntN(names), r.IntN(100)
		owner := label(n) + "." + largeZone
		switch {
		case kind < 90:
			return hosts(owner, address(n))
		case kind < 95:
			return noData(owner, largeZone)
		}
		return noName(fmt.Sprintf("nx%d.%s", n, largeZone), largeZone)
	}
	d.edit = func(version int) (edit, error) {
		e := edit{zone: zone, fresh: zone.path + ".new", question: hosts("changes."+largeZone, address(version))}
		return e, write(e.fresh, version)
	}
	return d, write(zone.path, 1)
}

// newReferral makes a zone of so many delegations, each to two name servers with
// glue.
func newReferral(dir string, cuts int, stamp []zoneFile) (*dataset, error) {
	zone := zoneFile{referralZone, filepath.Join(dir, "db.referral.example")}
	d := &dataset{name: "referral", stamp: stamp, user: []zoneFile{zone}}
	d.draw = func(r *rand.Rand) question {
		cut := label(r.IntN(cuts)) + "." + referralZone
		return question{
			name: fmt.Sprintf("host%d.%s", r.IntN(1000), cut), qtype: typeA,
			want: answer{cut: []string{
				record(cut, 3600, "NS", "ns1."+cut), record(cut, 3600, "NS", "ns2."+cut),
			}},
		}
	}
	return d, writeZone(zone.path, referralZone, 1, func(w *bufio.Writer) {
		for i := range cuts {
			cut := label(i)
			for n := 1; n <= 2; n++ {
				fmt.Fprintf(w, "%s IN NS ns%d.%s\nns%d.%s IN A %s\n", cut, n, cut, n, cut, address(2*i+n))
			}
		}
	})
}

// newUserZones makes so many small zones, one file each in one folder.
func newUserZones(dir string, zones int, stamp []zoneFile) (*dataset, error) {
	folder := filepath.Join(dir, "zones")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return nil, err
	}
	d := &dataset{name: fmt.Sprintf("zones-%d", zones), stamp: stamp, folder: folder}
	origin := func(i int) string { return fmt.Sprintf("zone%05d.example.", i) }
	for i := range zones {
		z := zoneFile{origin(i), filepath.Join(folder, "db."+strings.TrimSuffix(origin(i), "."))}
		d.user = append(d.user, z)
		if err := writeUserZone(z.path, z.origin, i, 1); err != nil {
			return nil, err
		}
	}
	d.draw = func(r *rand.Rand) question {
		i := r.IntN(zones)
		zone := origin(i)
		switch kind := r.IntN(100); {
		case kind < 30:
			return hosts("www."+zone, address(8*i+1))
		case kind < 60:
			return hosts("api."+zone, address(8*i+2))
		case kind < 80:
			return hosts(fmt.Sprintf("app%d.apps.%s", r.IntN(1000), zone), address(8*i+3))
		case kind < 85:
			q := question{name: zone, qtype: typeMX}
			q.want.records = []string{record(zone, 3600, "MX", "10 mail."+zone)}
			return q
		case kind < 92:
			return noData("www."+zone, zone)
		}
		return noName("nosuchname."+zone, zone)
	}
	d.edit = func(version int) (edit, error) {
		i := zones / 2
		z := d.user[i]
		// Outside of the folder, so that nobody takes it for a zone.
		e := edit{zone: z, fresh: filepath.Join(dir, "changed"), question: hosts("changes."+z.origin, address(version))}
		return e, writeUserZone(e.fresh, z.origin, i, version)
	}
	return d, nil
}

func writeUserZone(path, origin string, i, version int) error {
	return writeZone(path, origin, version, func(w *bufio.Writer) {
		fmt.Fprintf(w, "@ IN A %s\n@ IN MX 10 mail\n", address(8*i))
		fmt.Fprintf(w, "www IN A %s\napi IN A %s\n*.apps IN A %s\n", address(8*i+1), address(8*i+2), address(8*i+3))
		fmt.Fprintf(w, "mail IN A %s\nchanges IN A %s\n", address(8*i+4), address(version))
	})
}
