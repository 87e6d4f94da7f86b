package zones

import (
	"bytes"
)

// outcome is what a name turns out to be in a zone: step 3 of the algorithm of
// RFC 1034 section 4.3.2, as RFC 4592 and RFC 6672 amend it.
type outcome uint8

const (
	// foundName: match is the node of the name itself.
	foundName outcome = iota
	// foundWildcard: match is the source of synthesis (RFC 4592 section 3.3.1).
	foundWildcard
	// foundNothing: the name does not exist; match is the closest encloser.
	foundNothing
	// foundCut: match is the node of the delegation at or above the name.
	foundCut
	// foundDNAME: match is the node of the DNAME above the name.
	foundDNAME
)

// node finds the node of suffix k of a name.
func (z *Zone) node(p *path, k int) (uint32, bool) {
	hash, mask := p.hash[k], uint32(len(z.index.slots)-1)
	for i := hash & mask; ; i = (i + 1) & mask {
		e := z.index.slots[i]
		if e.ref == 0 {
			return 0, false
		}
		if e.hash == hash && bytes.Equal(z.name(e.ref-1), p.suffix(k)) {
			return e.ref - 1, z.nodes[e.ref-1].flags&nodeHash == 0
		}
	}
}

// lookup says what the name of p, which lies in the zone, is.
func (z *Zone) lookup(p *path) (match uint32, what outcome) {
	if i, ok := z.node(p, p.labels()); ok {
		if by, what, ok := z.covered(i); ok {
			return by, what
		}
		return i, foundName
	}
	encloser := z.closestEncloser(p)
	if by, what, ok := z.covered(encloser); ok {
		return by, what
	}
	n := &z.nodes[encloser]
	if n.flags&nodeDNAME != 0 {
		return encloser, foundDNAME
	}
	if n.wild != 0 {
		return n.wild - 1, foundWildcard
	}
	return encloser, foundNothing
}

// covered says whether a cut or a DNAME above (or, for a cut, at) node i decides.
func (z *Zone) covered(i uint32) (by uint32, what outcome, ok bool) {
	c := z.nodes[i].cover
	if c == 0 {
		return 0, 0, false
	}
	if z.nodes[c-1].flags&nodeCut != 0 {
		return c - 1, foundCut, true
	}
	return c - 1, foundDNAME, true
}

// closestEncloser finds the longest existing ancestor of a name that does not
// exist. Every ancestor of a node is a node, so existence only ends once on the
// way down, and a binary search takes seven look-ups at most, however many
// labels somebody puts into a question.
func (z *Zone) closestEncloser(p *path) uint32 {
	low, high := z.labels, p.labels() // low exists, high does not
	found := uint32(0)
	for high-low > 1 {
		mid := int(uint(low+high) / 2)
		if i, ok := z.node(p, mid); ok {
			low, found = mid, i
		} else {
			high = mid
		}
	}
	return found
}
