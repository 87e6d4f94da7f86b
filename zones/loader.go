package zones

// Loader loads zones one after the other, in memory that it keeps from one to the
// next: many small zones cost little garbage. The zones are not part of it. It is
// used by one goroutine at a time; the zero Loader is ready.
type Loader struct {
	builder  Builder
	linter   linter
	compiler compiler
}

// What a zone may be for a Loader to keep the memory that it took: names and data
// in octets, and records or names.
const (
	keepOctets = 1 << 18
	keepItems  = 1 << 12
)

// Load collects, checks and compiles a zone. Findings of severity Error come
// back as a *LoadError, the others as warnings beside the zone.
func Load(src Source) (z *Zone, warnings []Finding, err error) { return new(Loader).Load(src) }

// Load is the function Load.
func (l *Loader) Load(src Source) (z *Zone, warnings []Finding, err error) {
	defer l.letGo()
	b := &l.builder
	if err := b.collect(src); err != nil {
		return nil, nil, err
	}
	var bad []Finding
	for _, f := range l.linter.check(b) {
		if f.Severity == Error {
			bad = append(bad, f)
		} else {
			warnings = append(warnings, f)
		}
	}
	if len(bad) > 0 {
		return nil, warnings, &LoadError{Findings: bad}
	}
	if b.large() {
		l.linter = linter{} // the zone will need the room
	}
	return l.compiler.compile(b), warnings, nil
}

// letGo gives the memory of a large zone back.
func (l *Loader) letGo() {
	if l.builder.large() {
		*l = Loader{}
	}
}

func (b *Builder) large() bool {
	return cap(b.arena) > keepOctets || len(b.recs) > keepItems || len(b.nodes) > keepItems || len(b.outside) > keepItems
}
