// Package stamp serves the zones of an Azure Stack Hub stamp, made from its
// stamp file, from options, or from both.
package stamp

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/stamp"
	"github.com/stampdns/stampdns/zones/wire"
)

// Plugin is the stamp directive.
func Plugin() server.Plugin {
	return server.Plugin{
		Name:  "stamp",
		Usage: "stamp [FILE] { PROPERTY ARGUMENT... }",
		Setup: setup,
	}
}

// setup loads both zones. It needs no handler: plugin authority answers from the
// block's Store.
func setup(d *server.Directive) (server.Handler, error) {
	o, err := parse(d)
	if err != nil {
		return nil, err
	}
	s := &o.stamp
	sum, err := digest(s)
	if err != nil {
		return nil, o.errf("%w", err)
	}
	kept := server.Keep(d, fmt.Sprintf("%s:%d", s.External(), d.Block.Port), func() *memory { return new(memory) })
	before := *kept
	fixed := s.Serial != 0
	if !fixed {
		s.Serial = before.next(sum)
	}
	log := d.Logger()
	d.OnStart(func() {
		*kept = memory{sum, s.Serial}
		if fixed && before.stale(sum, s.Serial) {
			log.Warn("the stamp's zones changed but their serial did not grow: raise it, or leave it to the server",
				"serial", s.Serial, "was", before.serial)
		}
		for _, w := range o.warnings {
			log.Warn(w, "stamp", o.source())
		}
	})
	origins, err := load(d, &o)
	if err != nil {
		return nil, err
	}
	for _, ns := range s.NameServers() {
		d.Block.NameServers = append(d.Block.NameServers, server.NameServer{Label: ns.Label, Name: ns.Name, Addrs: ns.Addrs})
	}
	server.Share(d, func() *stamp.Stamp { return s })
	if err := mountInfo(d, s); err != nil {
		return nil, err
	}
	if o.file != "" && o.reload > 0 {
		lookAfter(d, &o, origins)
	}
	return nil, nil
}

// lookAfter keeps an eye on the stamp file.
func lookAfter(d *server.Directive, o *options, origins []wire.Name) {
	store := server.Share(d, zones.NewStore)
	w := &watcher{
		file: o.file, seen: o.seen, log: d.Logger(),
		failed: func(err error) {
			for _, z := range origins {
				store.Fail(z, err, time.Now())
			}
		},
	}
	watch := d.Watch(o.reload, func(time.Time, []string) { w.look() })
	w.reload = watch.Reload
	watch.Follow([]string{o.file}, nil)
}

// load puts the stamp's zones into the block's Store.
func load(d *server.Directive, o *options) ([]wire.Name, error) {
	sources, err := o.stamp.Zones()
	if err != nil {
		return nil, o.errf("%w", err)
	}
	store := server.Share(d, zones.NewStore)
	now := time.Now()
	var origins []wire.Name
	for _, src := range sources {
		origin := src.Origin()
		if !served(origin, d.Block.Zones) {
			return nil, o.errf("no query for the stamp's zone %s comes here: add it to the keys of the server block", origin)
		}
		if err := store.Declare(origin, "stamp at "+o.place()); err != nil {
			return nil, o.errf("%w", err)
		}
		z, findings, err := zones.Load(src)
		if err != nil {
			return nil, o.errf("zone %s: %w", origin, err)
		}
		for _, f := range findings {
			o.warnings = append(o.warnings, f.Error())
		}
		store.Put(z, d.ZoneLabel(origin.String()), now)
		origins = append(origins, origin)
	}
	return origins, nil
}

// served says whether a block of the given zones gets all queries for z.
func served(z wire.Name, block []wire.Name) bool {
	for _, b := range block {
		if z.Within(b) {
			return true
		}
	}
	return false
}

// memory is what the zones were in the configuration in use: the digest of
// their records, and their serial; 0 before there was one. It is written when a
// configuration starts and read when the next one is set up, never at once.
type memory struct {
	sum    [sha256.Size]byte
	serial uint32
}

// next is the serial of zones with the digest sum.
func (m *memory) next(sum [sha256.Size]byte) uint32 {
	if m.serial != 0 && m.sum == sum {
		return m.serial
	}
	return max(1, m.serial+1)
}

// stale says whether zones with the digest sum are new under a serial that is
// not (RFC 1982 section 3.2).
func (m *memory) stale(sum [sha256.Size]byte, serial uint32) bool {
	return m.serial != 0 && (m.sum != sum && int32(serial-m.serial) <= 0 || int32(serial-m.serial) < 0)
}

// digest sums up the records of both zones, their serial left out.
func digest(s *stamp.Stamp) (sum [sha256.Size]byte, err error) {
	plain := *s
	plain.Serial = 0
	sources, err := plain.Zones()
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	for _, src := range sources {
		err = src.Records(func(r zones.Record) error {
			var fixed [8]byte
			binary.BigEndian.PutUint16(fixed[:], r.Type)
			binary.BigEndian.PutUint32(fixed[2:], r.TTL)
			binary.BigEndian.PutUint16(fixed[6:], uint16(len(r.Data)))
			for _, part := range [][]byte{r.Owner, fixed[:], r.Data} {
				h.Write(part)
			}
			return nil
		})
		if err != nil {
			return sum, err
		}
	}
	h.Sum(sum[:0])
	return sum, nil
}
