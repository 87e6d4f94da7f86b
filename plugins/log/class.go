package log

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// classes is a set of the classes of replies.
type classes uint8

const (
	success classes = 1 << iota
	denial
	failure
	all = success | denial | failure
)

// has says whether the query's reply is in the set.
func (c classes) has(q *server.Query) bool { return c == all || c&classify(q) != 0 }

// classify sorts a reply as CoreDNS does: what says that a name or a type does
// not exist is a denial, also at the end of an alias; other answers and
// referrals are successes; the rest, no reply among it, is an error.
func classify(q *server.Query) classes {
	if q.Verdict() != server.Answered {
		return failure
	}
	switch q.RCode() {
	case server.RCodeNameError:
		return denial
	case server.RCodeSuccess:
		r := q.Reply
		if wire.Count(r, wire.CountAN) == 0 && wire.Count(r, wire.CountNS) > 0 {
			// Without answers, the authority section begins behind the question.
			off, ok := wire.SkipName(r, q.QuestionEnd)
			if ok && off+2 <= len(r) && binary.BigEndian.Uint16(r[off:]) == dns.TypeSOA {
				return denial
			}
		}
		return success
	}
	return failure
}
