package zones

import (
	"fmt"

	"github.com/stampdns/stampdns/zones/wire"
)

// Record is one resource record of class IN.
//
// Owner and Data are wire form without compression; Owner and the names in Data
// keep the case they were written in. A TTL above 2147483647 seconds counts as 0
// in a zone (RFC 2181 section 8). Who hands a Record to a function lends
// both slices for the time of the call, and no longer.
type Record struct {
	Owner []byte
	Type  uint16
	TTL   uint32
	Data  []byte
	Pos   Pos
}

// Pos is a place in a zone file; the zero value is no place.
type Pos struct {
	File string
	Line int
}

// String is FILE:LINE, or just FILE where no line is known.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Severity says how bad a Finding is.
type Severity uint8

const (
	// Warning is served as it is.
	Warning Severity = iota
	// Error keeps the zone from being loaded.
	Error
)

// String is the severity in lower case.
func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// Finding is something wrong with a zone's data.
type Finding struct {
	Pos      Pos
	Severity Severity
	Code     string // fixed, lower case with hyphens: "cname-and-other-data"
	Text     string // what is wrong, and what to do where that is known
}

// Error is FILE:LINE: text.
func (f *Finding) Error() string {
	if f.Pos.File == "" {
		return f.Text
	}
	return f.Pos.String() + ": " + f.Text
}

// Source says where the records of a zone come from. Each gives its records, in
// any order, to add, and stops at the first error add returns.
type Source interface {
	// Origin is the zone's name.
	Origin() wire.Name
	// Records calls add for each record.
	Records(add func(Record) error) error
}
