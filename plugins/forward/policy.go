package forward

import (
	"math"
	"math/rand/v2"

	"github.com/stampdns/stampdns/server"
)

// policy says which upstream of a group is asked first.
type policy uint8

const (
	random policy = iota
	roundRobin
	sequential
	fastest
)

// policies are the names of the policies, in their order.
func policies() []string { return []string{"random", "round_robin", "sequential", "fastest"} }

func (p policy) String() string { return policies()[p] }

func policyOf(d *server.Directive) (policy, error) {
	text, err := one(d)
	if err != nil {
		return 0, err
	}
	for i, name := range policies() {
		if text == name {
			return policy(i), nil
		}
	}
	return 0, d.UsageErr("unknown policy %q%s", text, server.Suggest(text, policies()))
}

// explore is how often the policy fastest asks another upstream than the fastest,
// to learn whether it still is: once in so many queries.
const explore = 64

// first is the upstream that the policy would ask first.
func (g *group) first() int {
	n := len(g.upstreams)
	switch g.options.policy {
	case random:
		return rand.IntN(n)
	case roundRobin:
		return int(g.turn.Add(1)-1) % n
	case fastest:
		if turn := g.turn.Add(1); turn%explore == 0 {
			return int(turn/explore) % n
		}
		best, least := 0, int64(math.MaxInt64)
		for i, u := range g.upstreams {
			if rtt := u.rtt.Load(); rtt < least && u.status() <= up { // 0: not known yet
				best, least = i, rtt
			}
		}
		return best
	}
	return 0
}

// choose is the upstream to ask now, -1 for none; tried is the set of those that
// were asked before. Those that answer go before those that may not; one that is
// down is not asked. again allows one that was asked before.
func (g *group) choose(tried uint32, again bool, now int64) int {
	n := len(g.upstreams)
	if n == 0 {
		return -1 // the root is asked in their place
	}
	start := g.first()
	for _, wanted := range [...]status{up, suspect, refusing} {
		for i := range n {
			at := (start + i) % n
			if tried&(1<<at) == 0 && g.upstreams[at].ranks(wanted, now) {
				return at
			}
		}
	}
	if !again {
		return -1
	}
	for i := range n {
		if at := (start + i) % n; g.upstreams[at].status() != down {
			return at
		}
	}
	return -1
}
