package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/stampdns/stampdns/server"
)

// maxStreams is how many clients may follow at once.
const maxStreams = 16

// How many entries a second a client gets.
const (
	defaultMax = 200
	mostMax    = 10000
)

// pace is the times of a stream.
type pace struct {
	poll  time.Duration // between two looks at the rings
	beat  time.Duration // between two signs of life
	write time.Duration // for a client to take what is written
}

func defaultPace() pace { return pace{100 * time.Millisecond, 15 * time.Second, 5 * time.Second} }

// Why a client does not get an entry, or there is none.
const (
	skipSampled     = "sampled"     // it was not recorded
	skipRate        = "rate"        // more would have come than the client wanted
	skipOverwritten = "overwritten" // newer ones took its place before it was sent
)

// follower is one client of the stream.
type follower struct {
	journal *journal
	filter  *filter
	walk    *walk
	max     int

	last   uint64 // id of the last entry looked at
	replay uint64 // entries up to this id wait for their turn; later ones do not
	second time.Time
	sent   int // in this second

	sampled uint64 // queries not recorded, as told
	missed  uint64 // left out by rate, not yet told
	lost    uint64 // overwritten, not yet told
	told    time.Time
	out     bytes.Buffer
}

// stream sends entries as they come (Server-sent events, HTML Living Standard
// section 9.2), until the client goes or the configuration does.
func (c *config) stream(w http.ResponseWriter, r *http.Request) {
	f, err := c.journal.follow(r)
	if err != nil {
		server.WriteAPIError(w, http.StatusBadRequest, "%s", err)
		return
	}
	select {
	case c.journal.streams <- struct{}{}:
		defer func() { <-c.journal.streams }()
	default:
		w.Header().Set("Retry-After", "5")
		server.WriteAPIError(w, http.StatusServiceUnavailable,
			"%d clients follow the journal, which is the most: end one, or ask /api/v1/journal from time to time", maxStreams)
		return
	}
	out := http.NewResponseController(w)
	// The server's own time-out for reading a request would end this one.
	if err := out.SetReadDeadline(time.Time{}); err != nil {
		server.WriteAPIError(w, http.StatusInternalServerError, "this connection can't be followed: %s", err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // for a proxy before us
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	f.out.WriteString("retry: 1000\n")
	f.beat()
	c.run(f, r, w, out)
}

// run sends until somebody goes.
func (c *config) run(f *follower, r *http.Request, w http.ResponseWriter, out *http.ResponseController) {
	pace := c.journal.pace
	ticker := time.NewTicker(pace.poll)
	defer ticker.Stop()
	wrote := time.Now()
	for {
		now := time.Now()
		f.advance(now)
		if f.out.Len() == 0 && now.Sub(wrote) >= pace.beat {
			f.beat()
		}
		if f.out.Len() > 0 {
			wrote = now
			if out.SetWriteDeadline(now.Add(pace.write)) != nil {
				return
			}
			if _, err := f.out.WriteTo(w); err != nil || out.Flush() != nil {
				return
			}
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		case <-c.stopped:
			return
		}
	}
}

// follow reads a request to follow, and finds where it begins.
func (j *journal) follow(r *http.Request) (*follower, error) {
	values := r.URL.Query()
	filter, err := parseFilter(values, time.Now(), "max", "after")
	if err != nil {
		return nil, err
	}
	f := &follower{journal: j, filter: filter, walk: j.walk(), max: defaultMax}
	if text := values.Get("max"); values.Has("max") {
		if f.max, err = strconv.Atoi(text); err != nil || f.max < 1 || f.max > mostMax {
			return nil, fmt.Errorf("max %q is no number from 1 to %d", text, mostMax)
		}
	}
	at, err := resume(r, values)
	if err != nil {
		return nil, err
	}
	floor, top := j.span()
	f.last, f.replay = top, top
	switch {
	case at != nil:
		f.last = j.since(at, top)
	case filter.since != 0:
		f.last = floor
	}
	f.sampled = j.count(0).skipped
	return f, nil
}

// resume is the place that a client has come to, nil where it begins. What a client
// sends as it connects again counts more than the address it was given.
func resume(r *http.Request, values url.Values) (*position, error) {
	const header = "Last-Event-ID"
	if sent := r.Header.Get(header); sent != "" {
		return readPosition(header, sent)
	}
	return parsePosition(values, "after")
}

// advance writes the events of what has come since the last time.
func (f *follower) advance(now time.Time) {
	if now.Sub(f.second) >= time.Second {
		f.second, f.sent = now, 0
	}
	floor, top := f.journal.span()
	if floor > f.last {
		f.lost, f.last = floor-f.last, floor
	}
	f.walk.up(f.last, top, func(s *slot) bool {
		if f.filter.match(s) {
			if f.sent >= f.max {
				if s.id <= f.replay {
					top = f.last // the rest waits
					return false
				}
				f.missed++
			} else {
				f.sent++
				f.send(s)
			}
		}
		f.lost += s.id - f.last - 1
		f.last = s.id
		return true
	})
	if f.last < top {
		f.lost += top - f.last
		f.last = top
	}
	f.skip(f.lost, skipOverwritten)
	f.lost = 0
	f.tell(now)
}

// tell says at most once a second what is left out: more often it would be what
// there is too much of.
func (f *follower) tell(now time.Time) {
	if now.Sub(f.told) < time.Second {
		return
	}
	skipped := f.journal.count(0).skipped
	if f.missed == 0 && skipped == f.sampled {
		return
	}
	f.told = now
	f.skip(skipped-f.sampled, skipSampled)
	f.skip(f.missed, skipRate)
	f.sampled, f.missed = skipped, 0
}

// send writes the event of an entry.
func (f *follower) send(s *slot) {
	text, err := json.Marshal(f.journal.entry(s))
	if err != nil {
		panic(fmt.Errorf("encode an entry: %w", err)) // it has nothing that JSON lacks
	}
	fmt.Fprintf(&f.out, "id: %s\ndata: %s\n\n", f.journal.cursor(s.id), text)
}

// skip writes the event of what is left out.
func (f *follower) skip(n uint64, reason string) {
	if n > 0 {
		fmt.Fprintf(&f.out, "event: skipped\ndata: {\"count\":%d,\"reason\":%q}\n\n", n, reason)
	}
}

// beat writes a sign of life: an id without data is no event, but where to go on.
func (f *follower) beat() { fmt.Fprintf(&f.out, ": alive\nid: %s\n\n", f.journal.cursor(f.last)) }
