package server

import "github.com/stampdns/stampdns/zones/wire"

// Forgetting is how handlers of one block that keep answers are told that some are not
// good any more. It belongs to the block (Share) and is complete once that is set up.
type Forgetting struct {
	keepers []func(domain wire.Name)
}

// OnForget has f called when what was answered about a domain, and the names below it,
// is to be asked anew. Answers that are under way then must not be kept either. It may
// be called from any goroutine, and must not block.
func (d *Directive) OnForget(f func(domain wire.Name)) {
	all := Share(d, func() *Forgetting { return new(Forgetting) })
	all.keepers = append(all.keepers, f)
}

// Forgetting is the block's.
func (d *Directive) Forgetting() *Forgetting {
	return Share(d, func() *Forgetting { return new(Forgetting) })
}

// Forget has all that is kept about domain forgotten.
func (f *Forgetting) Forget(domain wire.Name) {
	for _, keeper := range f.keepers {
		keeper(domain)
	}
}
