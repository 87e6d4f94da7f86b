package fault

import (
	"fmt"
	"strings"

	"github.com/stampdns/stampdns/server"
)

// config is what one configuration says of faults.
type config struct {
	engine  *engine
	bucket  *server.Bucket
	blocks  []*block
	lines   []*line
	changed []func() // have the server ask which addresses are refused
}

// line is one rule of the Corefile, and the blocks that it stands in: more than one
// where their keys have several ports, or import the same snippet.
type line struct {
	spec   *spec
	place  string // FILE:LINE
	text   string // as it is written
	key    string
	blocks []*block
}

// configure makes b a part of the configuration in hand.
func configure(d *server.Directive, b *block) (*config, error) {
	log := d.Logger()
	b.engine = server.Keep(d, "", func() *engine { return newEngine(log) })
	var err error
	c := server.ShareAll(d, func() *config {
		c := &config{engine: b.engine, bucket: d.Bucket()}
		if err = d.Register(&collector{c.engine}); err == nil {
			err = c.mount(d)
		}
		d.OnStart(func() { c.engine.start(c) })
		d.OnStop(func() { c.engine.stop(c) })
		return c
	})
	c.blocks = append(c.blocks, b)
	c.changed = append(c.changed, d.GuardTCP(b))
	return c, err
}

// read reads one line of the directive's block.
func (c *config) read(d *server.Directive, b *block) error {
	place := fmt.Sprintf("%s:%d", d.File(), d.Line())
	kind := d.Val()
	args, err := d.Arguments(0, -1)
	if err != nil {
		return err
	}
	words := append([]string{kind}, args...)
	s, err := parse(words)
	if err != nil {
		return d.UsageErr("%w", err)
	}
	if s.resolvers != nil && !b.resolver {
		return d.Errf("resolver: this block does not tell resolvers apart: add the directive delegation, or use client NETWORK")
	}
	zones := make([]string, len(b.block.Zones))
	for i, z := range b.block.Zones {
		zones[i] = z.String()
	}
	written := strings.Join(words, " ")
	key := written + " @" + strings.Join(zones, ",")
	for _, l := range c.lines {
		switch {
		case l.place == place && l.text == written:
			l.blocks = append(l.blocks, b)
			return nil
		case l.key == key:
			return d.Errf("the same rule stands at %s: take one of the two out", l.place)
		case s.name != "" && l.spec.name == s.name:
			return d.Errf("the rule at %s has the name %s: give one of the two another", l.place, s.name)
		}
	}
	if len(c.lines) == maxRules {
		return d.Errf("more than %d rules: take some out", maxRules)
	}
	c.lines = append(c.lines, &line{spec: s, place: place, text: written, key: key, blocks: []*block{b}})
	return nil
}
