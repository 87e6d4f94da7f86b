package server

// Batch finishes queries that were pending, many at a time: replies that leave by the
// same socket are sent together. It is for one goroutine, such as the reader of what
// the queries waited for. The zero value is ready.
type Batch struct {
	outbox
}

// Finish is Query.Finish for a query whose reply may wait for Flush to be sent.
func (b *Batch) Finish(q *Query, v Verdict) {
	if q.claim() {
		q.complete(v)
		b.put(q)
	}
}
