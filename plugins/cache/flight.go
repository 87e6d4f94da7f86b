package cache

import (
	"sync/atomic"

	"github.com/stampdns/stampdns/server"
)

// flight is a question that is being asked behind the cache: the query that asks,
// and those of the same key that wait for what it gets. The shard's lock guards
// it. The leader's Out ends it, which the server calls however the query ends.
type flight struct {
	leader *server.Query
	parked []*server.Query
}

// Bounds of the queries that wait: of one flight, and in all. Further ones are dropped,
// for their clients to ask again: if they went on, whoever can have this server ask the
// same many times at once would have as many chances to forge the answer (RFC 5452
// section 5).
const (
	maxParked    = 1000
	maxParkedAll = 10000
)

// maxSpare is how many flights a shard keeps for further use.
const maxSpare = 16

// lead makes q, which is about to go on, the leader of the flight of its key.
func (s *shard) lead(k *key, q *server.Query) {
	f := new(flight)
	if n := len(s.spare); n > 0 {
		f, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	f.leader = q
	s.flights[k.hash] = f
}

// park has q wait for the flight, or drops it where too many do. One that asks for
// another key goes on.
func (f *flight) park(q *server.Query, k *key, all *atomic.Int64) server.Verdict {
	l := f.leader
	if l.Type != k.qtype || bitsOf(l) != k.bits || string(l.Name) != string(k.name) {
		return server.Next
	}
	if len(f.parked) >= maxParked {
		return server.Dropped
	}
	if all.Add(1) > maxParkedAll {
		all.Add(-1)
		return server.Dropped
	}
	f.parked = append(f.parked, q)
	return server.Pending
}

// land ends the flight that q leads, if it does, and returns who waits for it.
func (s *shard) land(k *key, q *server.Query) []*server.Query {
	f := s.flights[k.hash]
	if f == nil || f.leader != q {
		return nil
	}
	delete(s.flights, k.hash)
	parked := f.parked
	f.leader, f.parked = nil, nil
	if len(s.spare) < maxSpare {
		s.spare = append(s.spare, f)
	}
	return parked
}

// finish answers the queries that waited with the reply of the one that led, or
// with SERVFAIL where there is none.
func (h *handler) finish(parked []*server.Query, leader *server.Query, replied bool, code server.EDE) {
	h.store.parked.Add(int64(-len(parked)))
	for _, q := range parked {
		if replied {
			copyReply(q, leader.RCode(), leader.Reply, leader.QuestionEnd)
			q.CopyErrors(leader)
		} else {
			q.SetRCode(server.RCodeServerFailure)
			setFlags(q, false)
		}
		if code != server.EDENone && !replied {
			q.AddEDE(code, "")
		}
		q.Finish(server.Answered)
	}
}
