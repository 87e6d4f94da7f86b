package fault

import (
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stampdns/stampdns/server"
)

// Where rules come from.
const (
	fromCorefile = "corefile"
	fromRuntime  = "runtime"
)

// Why rules end.
const (
	endTime    = "time"
	endCount   = "count"
	endCleared = "cleared"
	endRemoved = "removed" // from the Corefile
)

// Ended rules are shown for a while.
const (
	maxRecent  = 64
	recentLast = 10 * time.Minute
	// beat is how often the log tells of a rule that acts, at most, and how far the
	// state file may be behind.
	beat = time.Second
)

// engine has the rules. It outlives reloads.
type engine struct {
	log      *slog.Logger
	waiting  atomic.Int64  // queries whose reply is delayed
	overflow atomic.Uint64 // dropped since too many were
	known    atomic.Pointer[map[*server.Injection]*rule]

	mu       sync.Mutex
	config   *config // in use; nil before the first and after the last
	rules    []*rule // in the order that they are tried in
	recent   []*rule // ended, the last at the back
	declared map[string]*rule
	labels   []string // of name servers, by their place in rule.by
	timer    *time.Timer
	saved    []byte    // as the state has it
	unsaved  bool      // the log has said that it could not be written
	told     time.Time // when the log last told of rules that act
}

func newEngine(log *slog.Logger) *engine {
	return &engine{log: log, declared: make(map[string]*rule), labels: []string{""}}
}

// slot is the place of a name server's label in rule.by. start is under way.
func (e *engine) slot(label string) int {
	if i := slices.Index(e.labels, label); i >= 0 {
		return i
	}
	if len(e.labels) == maxLabels {
		return 0
	}
	e.labels = append(e.labels, label)
	return len(e.labels) - 1
}

// find is the rule that an injection is of, nil where that is over for long.
func (e *engine) find(i *server.Injection) *rule {
	known := e.known.Load()
	if known == nil {
		return nil
	}
	return (*known)[i]
}

// start has the engine serve c from now on.
func (e *engine) start(c *config) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.config = c
	for _, b := range c.blocks {
		b.start()
	}
	runtime := e.restore(c)
	declared := make(map[string]*rule)
	var corefile []*rule
	for _, line := range c.lines {
		r := e.declared[line.key]
		if r == nil {
			r = newRule(line.spec, line.spec.name, fromCorefile, now())
			r.key, r.spent = line.key, e.sweepSoon
		}
		r.blocks, r.off = line.blocks, false
		declared[line.key] = r
		if r.ended.IsZero() {
			corefile = append(corefile, r)
		}
	}
	for key, r := range e.declared {
		if declared[key] == nil && r.ended.IsZero() {
			e.end(r, endRemoved)
		}
	}
	before := e.rules
	e.declared = declared
	e.rules = slices.Concat(runtime, corefile)
	e.giveNames()
	for _, r := range e.rules {
		if !slices.Contains(before, r) {
			e.begin(r)
		}
	}
	e.sweepLocked(true)
}

// stop ends the engine if no other configuration has taken over.
func (e *engine) stop(c *config) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.config != c {
		return
	}
	e.save()
	e.config = nil
	if e.timer != nil {
		e.timer.Stop()
	}
}

// giveNames gives a name to those that have none. Where the Corefile claims one that a
// rule of run time has, that one gets another.
func (e *engine) giveNames() {
	taken := make(map[string]bool)
	for _, r := range slices.Backward(e.rules) { // those of the Corefile first
		if r.name != "" && taken[r.name] {
			e.log.Warn("a fault gets another name: the Corefile has one of its name", "rule", r.name)
			e.rules[slices.Index(e.rules, r)] = r.anew()
			continue
		}
		taken[r.name] = true
	}
	for _, r := range e.rules {
		if r.name == "" {
			r.rename(freeName(taken))
			taken[r.name] = true
		}
	}
}

func freeName(taken map[string]bool) string {
	for n := 1; ; n++ {
		if name := "f" + strconv.Itoa(n); !taken[name] {
			return name
		}
	}
}

// begin says that a rule is in use from now on.
func (e *engine) begin(r *rule) {
	e.log.Info("fault begins", "rule", r.name, "fault", r.text(), "source", r.source, "ends", r.ends.UTC().Format(time.RFC3339))
	if r.blocks != nil && r.ns != nil && !slices.ContainsFunc(r.blocks, func(b *block) bool {
		return slices.ContainsFunc(b.labels, r.at)
	}) {
		e.log.Warn("fault for name servers that the block does not have: it is about no query", "rule", r.name, "ns", r.ns)
	}
}

// end takes a rule out of use; the caller publishes.
func (e *engine) end(r *rule, reason string) {
	r.ended, r.reason = now(), reason
	e.rules = slices.DeleteFunc(e.rules, func(o *rule) bool { return o == r })
	e.recent = append(e.recent, r)
	if len(e.recent) > maxRecent {
		e.recent = slices.Delete(e.recent, 0, 1)
	}
	e.log.Info("fault ends", "rule", r.name, "kind", r.kind.String(), "by", reason, "hits", r.hits.Load())
}

// sweepSoon has a rule ended that has spent its count.
func (e *engine) sweepSoon() { go e.sweep() }

// sweep ends what is over, tells what acts, and writes down what has changed. changed
// says that the rules are others already.
func (e *engine) sweep() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.config != nil {
		e.sweepLocked(false)
	}
}

func (e *engine) sweepLocked(changed bool) {
	at := now()
	tell := at.Sub(e.told) >= beat
	for _, r := range slices.Clone(e.rules) {
		hits := r.hits.Load()
		switch {
		case !r.ends.After(at):
			e.end(r, endTime)
			changed = true
		case r.count > 0 && hits >= r.count:
			e.end(r, endCount)
			changed = true
		case hits > r.told && tell:
			e.told = at
			e.log.Info("fault injected", "rule", r.name, "kind", r.kind.String(), "queries", hits-r.told)
			r.told = hits
		}
	}
	shown := len(e.recent)
	e.recent = slices.DeleteFunc(e.recent, func(r *rule) bool { return at.Sub(r.ended) >= recentLast })
	if changed || len(e.recent) != shown {
		e.publish()
	}
	e.save()
	e.arm(at)
}

// arm has sweep called when there may be something to do.
func (e *engine) arm(at time.Time) {
	next := time.Duration(-1)
	for _, r := range e.rules {
		if until := max(0, r.ends.Sub(at)); next < 0 || until < next {
			next = min(until, beat)
		}
	}
	if next < 0 && len(e.recent) > 0 {
		next = max(0, recentLast-at.Sub(e.recent[0].ended))
	}
	switch {
	case next < 0:
	case e.timer == nil:
		e.timer = time.AfterFunc(next, e.sweep)
	default:
		e.timer.Reset(next)
	}
}

// publish gives each block the rules that are in use there.
func (e *engine) publish() {
	known := make(map[*server.Injection]*rule, len(e.rules)+len(e.recent))
	for _, r := range slices.Concat(e.recent, e.rules) {
		known[&r.injection] = r
	}
	e.known.Store(&known)
	for _, b := range e.config.blocks {
		t := &table{}
		for _, r := range e.rules {
			switch {
			case r.off || r.blocks != nil && !slices.Contains(r.blocks, b):
			case r.kind == tcpRefuse:
				t.doors = append(t.doors, r)
			default:
				t.queries = append(t.queries, r)
				t.named = t.named || r.names != nil
			}
		}
		if t.queries == nil && t.doors == nil {
			t = nil
		}
		b.table.Store(t)
	}
	for _, changed := range e.config.changed {
		changed()
	}
}
