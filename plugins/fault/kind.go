package fault

import (
	"strings"

	"github.com/stampdns/stampdns/server"
)

// kind is what a fault does.
type kind uint8

const (
	delay       kind = iota // the reply comes late, and is right
	drop                    // no reply
	servfail                // a reply with this RCODE and nothing else
	refused                 //
	nxdomain                //
	notimp                  //
	formerr                 //
	truncate                // TC set and no records
	empty                   // NOERROR and no records
	lame                    // AA clear
	wrongID                 // another ID than the query's
	wrongCase               // the question in another case
	noEDNS                  // as a server without EDNS
	formerrEDNS             // FORMERR without OPT, as a server that chokes on EDNS
	tcpRefuse               // nobody can connect
	tcpReset                // the connection is reset once a query is read
	oversize                // a reply over UDP longer than the client takes
	staleSerial             // SOA records have an earlier serial
	noGlue                  // no addresses with NS records
	wrongNS                 // other NS records than the zone's
	kindCount
)

// String is the kind as rules, metrics and the API spell it.
func (k kind) String() string { return kinds()[k] }

func kinds() [kindCount]string {
	return [kindCount]string{
		"delay", "drop", "servfail", "refused", "nxdomain", "notimp", "formerr", "truncate", "empty", "lame",
		"wrong-id", "wrong-case", "no-edns", "formerr-edns", "tcp-refuse", "tcp-reset", "oversize", "stale-serial",
		"no-glue", "wrong-ns",
	}
}

func parseKind(word string) (kind, bool) {
	for k, name := range kinds() {
		if name == strings.ToLower(word) {
			return kind(k), true
		}
	}
	return 0, false
}

// edits says that the fault is made on the reply of others, which may have nothing
// that it could be made on.
func (k kind) edits() bool {
	switch k {
	case truncate, lame, oversize, staleSerial, noGlue, wrongNS:
		return true
	}
	return false
}

// needsEDNS says that the fault is none for queries without EDNS.
func (k kind) needsEDNS() bool { return k == noEDNS || k == formerrEDNS }

// transports are those that the kind makes sense on, and those that it has unless the
// rule says otherwise.
func (k kind) transports() (possible, usual transports) {
	switch k {
	case tcpRefuse, tcpReset:
		return overTCP, overTCP
	case oversize:
		return overUDP, overUDP
	case truncate:
		return overBoth, overUDP
	}
	return overBoth, overBoth
}

// transports is a set of them: a bit each, by server.Transport.
type transports uint8

const (
	overUDP  = transports(1 << server.UDP)
	overTCP  = transports(1 << server.TCP)
	overBoth = overUDP | overTCP
)

func (t transports) has(transport server.Transport) bool { return t>>transport&1 != 0 }

// mangling is what the server does to the reply for the kind.
func (k kind) mangling() server.Mangling {
	switch k {
	case wrongID:
		return server.WrongID
	case wrongCase:
		return server.WrongCase
	case noEDNS, formerrEDNS:
		return server.NoEDNS
	case oversize:
		return server.Oversized
	case tcpReset:
		return server.HangUp
	}
	return 0
}

// rcode is the response code of a reply that the kind makes by itself.
func (k kind) rcode() (rcode uint16, ok bool) {
	switch k {
	case servfail:
		return server.RCodeServerFailure, true
	case refused:
		return server.RCodeRefused, true
	case nxdomain:
		return server.RCodeNameError, true
	case notimp:
		return server.RCodeNotImplemented, true
	case formerr, formerrEDNS:
		return server.RCodeFormatError, true
	case empty:
		return server.RCodeSuccess, true
	}
	return 0, false
}

// ends says that the query goes no further.
func (k kind) ends() bool {
	_, answers := k.rcode()
	return answers || k.silent()
}

// silent says that nothing is sent.
func (k kind) silent() bool { return k == drop || k == tcpReset }
