package server

// Verdict says what a handler did with a query. It is neither the RCODE, which
// is data in the reply, nor an error, which is a fault to report (Query.Fail).
type Verdict uint8

const (
	// Next passes the query on to the handler behind.
	Next Verdict = iota
	// Answered means that Query.Reply is complete but for the OPT record,
	// which the server appends.
	Answered
	// Dropped means that nothing is to be sent.
	Dropped
	// Pending means that the handler took the query away and will call
	// Query.Finish later, once, from any goroutine. Until then it owns the Query.
	// Finish may come before In returns.
	Pending
)

// Handler is one station on the way of a query.
//
// In sees the query on its way in. Out sees the end of it, in reverse order:
// from the handler whose In did not say Next back to the first, for answered
// and dropped queries alike (Query.Verdict tells them apart). A handler may
// change Query.Reply in Out; only the server sends. The reply is closed, cut to
// the client's size and with its OPT record, before it comes to the observers:
// they see in Out what goes out, and must not change it.
//
// Both are called by many goroutines at once, each with a Query of its own, and
// must not block, keep the Query or any slice of it (Pending aside), or allocate
// on the way of a query that is answered at once.
type Handler interface {
	In(q *Query) Verdict
	Out(q *Query)
}

// chain is the handlers of one server block, in order.
type chain struct {
	gen      *generation
	block    *Block
	handlers []Handler
	// gate is the index at which the server's own checks stand. The handlers
	// before it only observe and see broken queries too; those behind it get
	// none but well-formed questions of class IN.
	gate int
}

// in sends q through the handlers. Unless it returns Pending, the query is over
// and the verdict says whether there is a reply to send. A pending query may be
// another goroutine's before its handler returns, so nothing of q is touched
// then.
func (c *chain) in(q *Query) Verdict { return c.from(q, 0) }

// from is in from the i-th handler on.
func (c *chain) from(q *Query, i int) Verdict {
	for ; ; i++ {
		q.depth, q.ender = i, i
		if i == c.gate && !q.admit() {
			return c.end(q, Answered)
		}
		if i == len(c.handlers) {
			q.Refuse(EDENotAuthoritative, "")
			return c.end(q, Answered)
		}
		q.depth = i + 1
		switch v := c.handlers[i].In(q); v {
		case Next:
		case Pending:
			return Pending
		default:
			return c.end(q, v)
		}
	}
}

// end brings q out through the chain, and says what became of it there.
func (c *chain) end(q *Query, v Verdict) Verdict {
	q.verdict = v
	c.out(q)
	return q.verdict
}

// out brings q back through the handlers it has passed, the last one first, and
// closes the reply at the gate. A forked query goes no further than the handler
// that forked it.
func (c *chain) out(q *Query) {
	floor := c.gate
	if q.forked {
		floor = q.floor
	}
	for q.depth > floor {
		q.depth--
		c.handlers[q.depth].Out(q)
	}
	if q.forked {
		return
	}
	if q.verdict == Answered {
		q.close()
	}
	for q.depth > 0 {
		q.depth--
		c.handlers[q.depth].Out(q)
	}
}
