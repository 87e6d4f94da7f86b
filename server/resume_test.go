package server

import (
	"strings"
	"testing"
)

// What a query passes that was taken away and goes on later.
func TestResumeOrder(t *testing.T) {
	for _, c := range []struct {
		name   string
		behind func(*Query) Verdict
		want   string
		sent   bool
		rcode  uint16
	}{
		{"answered", func(*Query) Verdict { return Answered }, "+eye +later +behind -behind -later -eye", true, RCodeSuccess},
		{"dropped", func(*Query) Verdict { return Dropped }, "+eye +later +behind -behind -later -eye", false, 0},
		{"nobody behind", func(*Query) Verdict { return Next }, "+eye +later +behind -behind -later -eye", true, RCodeRefused},
		{"panic", func(*Query) Verdict { panic("behind") }, "+eye +later +behind -later -eye", true, RCodeServerFailure},
	} {
		var log []string
		var taken *Query
		b := chainOf(t, marker(&log, "eye", true, nil, nil), marker(&log, "later", false, func(q *Query) Verdict {
			taken = q
			return Pending
		}, nil), marker(&log, "behind", false, c.behind, nil))
		done := 0
		b.q.done = func(q *Query) {
			done++
			if (q.verdict == Answered) != c.sent || c.sent && q.RCode() != c.rcode {
				t.Errorf("%s: verdict %d, rcode %d", c.name, q.verdict, q.RCode())
			}
		}
		packet, _ := question("www.example.org.").Pack()
		if b.exchange(packet) != nil || taken == nil {
			t.Fatalf("%s: the query was not taken away", c.name)
		}
		taken.Resume()
		if got := strings.Join(log, " "); got != c.want || done != 1 {
			t.Errorf("%s: ended %d times\ngot  %s\nwant %s", c.name, done, got, c.want)
		}
	}
}
