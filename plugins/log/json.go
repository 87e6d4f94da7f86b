package log

// object is the format of one JSON object a line (RFC 8259).
type object struct {
	members []member
}

type member struct {
	name    string
	field   field
	literal bool // a number or a boolean, where it is there at all
}

// newObject lists the members in the order they are written.
func newObject() object {
	known := fields()
	o := object{}
	for _, m := range [...]struct {
		name, field string
		literal     bool
	}{
		{"time", "time", false}, {"remote", "remote", false}, {"port", "port", true}, {"local", "local", false},
		{"proto", "proto", false}, {"id", ">id", true}, {"opcode", ">opcode", true}, {"name", "name", false},
		{"type", "type", false}, {"class", "class", false}, {"size", "size", true}, {"do", ">do", true},
		{"bufsize", ">bufsize", true}, {"rcode", "rcode", false}, {"rflags", ">rflags", false},
		{"rsize", "rsize", true}, {"zone", "zone", false}, {"ns", "ns", false},
		{"resolver", "resolver", false}, {"path", "path", false}, {"fault", "fault", false},
	} {
		o.members = append(o.members, member{m.name, known[m.field], m.literal})
	}
	o.members = append(o.members, member{"duration", appendSeconds, true})
	return o
}

// appendSeconds is the duration as a number.
func appendSeconds(b []byte, e entry) []byte {
	b = appendDuration(b, e)
	return b[:len(b)-1]
}

// append leaves out what is not there.
func (o object) append(dst []byte, e entry) []byte {
	dst = append(dst, '{')
	start := len(dst)
	for _, m := range o.members {
		mark := len(dst)
		if mark > start {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), m.name...), '"', ':')
		value := len(dst)
		if !m.literal {
			dst = append(dst, '"')
		}
		from := len(dst)
		dst = m.field(dst, e)
		switch {
		case string(dst[from:]) == string(none):
			dst = dst[:mark]
		case m.literal:
		default:
			dst = append(escape(dst, value+1), '"')
		}
	}
	return append(dst, '}')
}

// escape makes the octets from from on the inside of a JSON string, in place.
// They are printable ASCII, so that there is only the backslash and the
// quotation mark to escape (RFC 8259 section 7).
func escape(b []byte, from int) []byte {
	more := 0
	for _, c := range b[from:] {
		if c == '\\' || c == '"' {
			more++
		}
	}
	end := len(b)
	for range more {
		b = append(b, 0)
	}
	for i, to := end-1, len(b)-1; i < to; i-- {
		b[to] = b[i]
		to--
		if b[i] == '\\' || b[i] == '"' {
			b[to] = '\\'
			to--
		}
	}
	return b
}
