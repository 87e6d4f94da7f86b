package journal

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stampdns/stampdns/server"
)

// mount puts the routes of the API beside the directive.
func (c *config) mount(d *server.Directive) error {
	if err := d.MountAPI("GET /api/v1/journal", http.HandlerFunc(c.journal.get)); err != nil {
		return err
	}
	return d.MountAPI("GET /api/v1/journal/stream", http.HandlerFunc(c.stream))
}

// How many entries an answer has.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// listing is the answer to a request for entries.
type listing struct {
	Entries []entry `json:"entries"`
	// More says that entries beyond the limit match.
	More bool `json:"more"`
	// Cursor is what to give as after for the entries that come behind these.
	Cursor string `json:"cursor"`
	// Lost is how many entries behind the one given as after were overwritten.
	Lost        uint64     `json:"lost,omitempty"`
	Seen        uint64     `json:"seen"`
	Recorded    uint64     `json:"recorded"`
	Sampled     bool       `json:"sampled"`
	SampledFrom *time.Time `json:"sampled_from,omitempty"`
	SampledTo   *time.Time `json:"sampled_to,omitempty"`
	Oldest      *time.Time `json:"oldest,omitempty"`
	Size        uint64     `json:"size"`
}

// page says which of the entries that match are wanted.
type page struct {
	limit         int
	newestFirst   bool
	after, before *position
}

// position is an entry, or the place behind it, as clients name it.
type position struct {
	epoch string // "" where it was not given
	id    uint64
}

// parsePage takes the parameters of the page out of values.
func parsePage(values url.Values) (p page, err error) {
	p.limit = defaultLimit
	if text := values.Get("limit"); values.Has("limit") {
		if p.limit, err = strconv.Atoi(text); err != nil || p.limit < 1 || p.limit > maxLimit {
			return p, fmt.Errorf("limit %q is no number from 1 to %d", text, maxLimit)
		}
	}
	switch order := values.Get("order"); {
	case !values.Has("order"), order == "oldest":
	case order == "newest":
		p.newestFirst = true
	default:
		return p, fmt.Errorf("order %q is neither oldest nor newest: say which comes first", order)
	}
	if p.after, err = parsePosition(values, "after"); err != nil {
		return p, err
	}
	p.before, err = parsePosition(values, "before")
	return p, err
}

func parsePosition(values url.Values, key string) (*position, error) {
	if !values.Has(key) {
		return nil, nil
	}
	return readPosition(key, values.Get(key))
}

// readPosition reads an id, or a cursor.
func readPosition(what, text string) (*position, error) {
	p := new(position)
	number := text
	if epoch, id, ok := strings.Cut(text, "-"); ok {
		p.epoch, number = epoch, id
	}
	var err error
	if p.id, err = strconv.ParseUint(number, 10, 64); err != nil || p.epoch == "" && number != text {
		return nil, fmt.Errorf("%s %q is neither the id of an entry nor a cursor that this server gave", what, text)
	}
	return p, nil
}

// cursor names the place behind an entry.
func (j *journal) cursor(id uint64) string { return j.epoch + "-" + strconv.FormatUint(id, 10) }

// since is the id that a client has come to: 0 where what it has is of another
// journal, or beyond all of this one.
func (j *journal) since(p *position, top uint64) uint64 {
	if p.epoch != "" && p.epoch != j.epoch || p.id > top {
		return 0
	}
	return p.id
}

// get answers with the entries that match.
func (j *journal) get(w http.ResponseWriter, r *http.Request) {
	values := r.URL.Query()
	f, err := parseFilter(values, time.Now(), "limit", "order", "after", "before")
	var p page
	if err == nil {
		p, err = parsePage(values)
	}
	if err != nil {
		server.WriteAPIError(w, http.StatusBadRequest, "%s", err)
		return
	}
	l := j.list(f, p)
	j.tell(&l)
	server.WriteJSON(w, http.StatusOK, l)
}

// list finds the entries of a page: those next to after, or else the newest ones.
func (j *journal) list(f *filter, p page) listing {
	floor, top := j.span()
	l := listing{Entries: []entry{}}
	last := top
	if p.before != nil {
		last = min(top, max(1, p.before.id)-1)
	}
	visit := func(s *slot) bool {
		if !f.match(s) {
			return true
		}
		if l.More = len(l.Entries) == p.limit; l.More {
			return false
		}
		l.Entries = append(l.Entries, j.entry(s))
		return true
	}
	l.Cursor = j.cursor(top)
	if p.after != nil {
		from := j.since(p.after, top)
		l.Lost = max(floor, from) - from
		j.walk().up(max(floor, from), last, visit)
		if l.More {
			l.Cursor = j.cursor(l.Entries[len(l.Entries)-1].ID)
		}
	} else {
		j.walk().down(floor, last, visit)
		slices.Reverse(l.Entries)
	}
	if p.newestFirst {
		slices.Reverse(l.Entries)
	}
	return l
}

// tell adds what the journal has, and what it lacks.
func (j *journal) tell(l *listing) {
	oldest := j.oldest()
	n := j.count(oldest)
	l.Seen, l.Recorded, l.Size = n.seen, n.seen-n.skipped, j.size.Load()
	if oldest != 0 {
		l.Oldest = instant(oldest)
	}
	if n.to != 0 {
		l.Sampled, l.SampledFrom, l.SampledTo = true, instant(n.from), instant(n.to)
	}
}

func instant(ns int64) *time.Time {
	t := time.Unix(0, ns).UTC()
	return &t
}
