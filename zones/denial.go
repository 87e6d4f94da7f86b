package zones

import (
	"bytes"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"slices"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/zones/wire"
)

// denial is what a signed zone proves absence with: NSEC or NSEC3. A zone that
// has neither chain is signed all the same and proves nothing.
type denial struct {
	// nsec are the nodes that own an NSEC, in canonical order.
	nsec  []uint32
	nsec3 *hashedChain
}

// hashedChain is the NSEC3 chain of a zone (RFC 5155).
type hashedChain struct {
	salt       []byte
	iterations uint16
	hashes     []hashed // in order
	// own is by node: 1 + the index in hashes of the node's own hash, 0 if it
	// has none.
	own []uint32
}

// denies says whether the zone has a chain to deny with.
func (z *Zone) denies() bool {
	return z.denial != nil && (len(z.denial.nsec) > 0 || z.denial.nsec3 != nil)
}

type hashed struct {
	hash [sha1.Size]byte
	node uint32 // that owns the NSEC3
}

// compileDenial finds the chains of a zone whose SOA is signed.
func (z *Zone) compileDenial() *denial {
	signed := slices.ContainsFunc(z.setsOf(0), func(s rrset) bool { return s.covers == dns.TypeSOA })
	if !signed {
		return nil
	}
	d := &denial{}
	if param := z.find(0, dns.TypeNSEC3PARAM); param != nil {
		d.nsec3 = z.compileHashes(z.rdata(param))
	}
	for i := range z.nodes {
		// At a cut, the NSEC is the parent's; below one, nothing is ours.
		c := z.nodes[i].cover
		if (c == 0 || c == uint32(i)+1) && z.find(uint32(i), dns.TypeNSEC) != nil {
			d.nsec = append(d.nsec, uint32(i))
		}
	}
	slices.SortFunc(d.nsec, func(a, b uint32) int { return wire.Compare(z.name(a), z.name(b)) })
	return d
}

// compileHashes collects the NSEC3 chain that an NSEC3PARAM names (RFC 5155
// section 4), nil if we do not know its hash function or there is no such chain.
func (z *Zone) compileHashes(param []byte) *hashedChain {
	if len(param) < 5 || param[0] != dns.SHA1 {
		return nil
	}
	c := &hashedChain{
		iterations: binary.BigEndian.Uint16(param[2:]),
		salt:       param[5 : 5+int(param[4])],
		own:        make([]uint32, len(z.nodes)),
	}
	encoding := base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)
	for i := range z.nodes {
		set := z.find(uint32(i), dns.TypeNSEC3)
		// Flags may differ between the records of a chain, nothing else may.
		if set == nil || !sameChain(z.rdata(set), param) {
			continue
		}
		name := z.name(uint32(i))
		h := hashed{node: uint32(i)}
		if n, err := encoding.Decode(h.hash[:], name[1:1+int(name[0])]); err == nil && n == sha1.Size {
			c.hashes = append(c.hashes, h)
		}
	}
	if len(c.hashes) == 0 {
		// A zone on its way to NSEC3 may have the parameters before the chain.
		return nil
	}
	slices.SortFunc(c.hashes, func(a, b hashed) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	for i := range z.nodes {
		n := &z.nodes[i]
		if n.flags&nodeHash != 0 || n.cover != 0 && n.cover != uint32(i)+1 {
			continue
		}
		if at, ok := c.search(c.hash(z.name(uint32(i)))); ok {
			c.own[i] = uint32(at) + 1
		}
	}
	return c
}

func sameChain(nsec3, param []byte) bool {
	n := 5 + int(param[4])
	return len(nsec3) >= n && nsec3[0] == param[0] && bytes.Equal(nsec3[2:n], param[2:n])
}

// hash hashes a name (RFC 5155 section 5).
func (c *hashedChain) hash(name []byte) [sha1.Size]byte {
	var buf [wire.MaxName + 255]byte
	n := copy(buf[:], name)
	n += copy(buf[n:], c.salt)
	h := sha1.Sum(buf[:n])
	for range c.iterations {
		n = copy(buf[:], h[:])
		n += copy(buf[n:], c.salt)
		h = sha1.Sum(buf[:n])
	}
	return h
}

// search finds the last hash that is not greater than h: the one whose NSEC3
// matches h (ok), or covers it. The chain is a ring.
func (c *hashedChain) search(h [sha1.Size]byte) (at int, ok bool) {
	low, high := 0, len(c.hashes)
	for low < high {
		mid := int(uint(low+high) / 2)
		if bytes.Compare(c.hashes[mid].hash[:], h[:]) <= 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 {
		return len(c.hashes) - 1, false
	}
	return low - 1, c.hashes[low-1].hash == h
}

// covering is the node whose NSEC covers a name, or matches it.
func (d *denial) covering(z *Zone, name wire.Name) uint32 {
	low, high := 0, len(d.nsec)
	for low < high {
		mid := int(uint(low+high) / 2)
		if wire.Compare(z.name(d.nsec[mid]), name) <= 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 {
		low = len(d.nsec)
	}
	return d.nsec[low-1]
}
