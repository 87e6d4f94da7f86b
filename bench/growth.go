//go:build linux

package main

import (
	"context"
	"fmt"
)

// growth is one server's cost per query in zones of growing size.
type growth struct {
	Server string        `json:"server"`
	Sizes  []*growthSize `json:"sizes"`
}

type growthSize struct {
	Names  int     `json:"names"`
	Wrong  string  `json:"wrong,omitempty"`
	Rounds []round `json:"rounds"`
}

// grow times the mix large in zones of all sizes, us and the peers that our goals
// name. All sizes of all servers take turns in each round, so that the machine's
// moods fall on all alike.
func (b *bench) grow(ctx context.Context, sizes []int) ([]*growth, error) {
	m := mix{name: "growth"}
	var contests []*contest
	defer func() {
		for _, c := range contests {
			c.close()
		}
	}()
	rivals := b.choose(b.ours.name, "nsd", "knot")
	if len(rivals) == 0 {
		return nil, nil
	}
	for _, names := range sizes {
		data, err := b.dataset(fmt.Sprintf("large-%d", names))
		if err != nil {
			return nil, err
		}
		c, err := b.newContest(ctx, m, data, rivals)
		if c != nil {
			contests = append(contests, c)
		}
		if err != nil {
			return nil, err
		}
	}
	for n := range b.rounds {
		for _, c := range contests {
			if err := c.run(ctx, n); err != nil {
				return nil, err
			}
		}
	}
	var out []*growth
	for i, p := range rivals {
		g := &growth{Server: p.name}
		for n, c := range contests {
			one := c.contestants[i]
			g.Sizes = append(g.Sizes, &growthSize{Names: sizes[n], Wrong: one.Wrong, Rounds: one.Rounds})
		}
		out = append(out, g)
	}
	return out, nil
}
