package server

// Path is the way by which a query seems to have reached the server, as far as its
// RD bit and its sender tell.
type Path uint8

// The paths.
const (
	// PathUnknown means that nobody looked: the block has no plugin that tells.
	PathUnknown Path = iota
	// PathIterative queries have RD clear: the asker follows delegations, or has
	// the zone as a stub.
	PathIterative
	// PathForwarded queries have RD set and come from a resolver: it forwards.
	PathForwarded
	// PathDirect queries have RD set and come from somebody else.
	PathDirect
)

// String is the path as metrics, logs and the API spell it, "" where nobody looked.
func (p Path) String() string {
	switch p {
	case PathIterative:
		return "iterative"
	case PathForwarded:
		return "forwarded"
	case PathDirect:
		return "direct"
	}
	return ""
}

// Resolver is one sender of queries that the server tells from others. It is
// read-only once a query has it.
type Resolver struct {
	// Name is the name that the configuration gives to its network, the address of
	// one that was learned, or "other": a value of a closed and bounded set.
	Name string
	// Learned says that the name is an address which the traffic taught.
	Learned bool
}

// Injection is a fault that was put into the reply to a query on purpose.
type Injection struct {
	Rule string // the name of the rule that did it
	Kind string // what it did, such as servfail
}
