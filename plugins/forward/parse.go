package forward

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// directive is one forward directive as the Corefile has it.
type directive struct {
	place    string    // FILE:LINE
	from     wire.Name // nil where it names no forwarders: all come at run time
	to       []address
	options  *options
	allow    []netip.Prefix
	allowAll bool
	hints    string // path of the root hints, "" for none
}

// options are what the properties of a directive say.
type options struct {
	except        []wire.Name
	policy        policy
	policyGiven   bool
	maxFails      int32 // failures after which a probe decides, 0: the upstream is never down
	health        healthCheck
	maxConcurrent int64
	expire        time.Duration
	forceTCP      bool
	randomizeCase bool
	tls           *tls.Config // nil: the system's certificate authorities
	serverName    string
	next          []uint16 // RCODEs with which the next directive is tried
	failover      []uint16 // RCODEs with which the next upstream is tried
}

// healthCheck is how an upstream that does not answer is probed.
type healthCheck struct {
	interval time.Duration
	noRec    bool
	domain   wire.Name
}

// defaultOptions are those of a directive without properties.
func defaultOptions() *options {
	return &options{
		policy:        random,
		maxFails:      2,
		health:        healthCheck{interval: 500 * time.Millisecond, domain: wire.Root()},
		maxConcurrent: 10_000,
		expire:        10 * time.Second,
		// What one upstream cannot or will not answer another one may.
		failover: []uint16{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeNotImplemented},
	}
}

// runtimeOptions are those of forwarders that are set at run time: of the directive
// without forwarders, or of the one for the root; else the defaults. They are asked
// in the order given, as a stamp asks its forwarders, unless the directive says how.
func runtimeOptions(base []*directive) *options {
	for _, wanted := range []wire.Name{nil, wire.Root()} {
		for _, dir := range base {
			if string(dir.from) == string(wanted) {
				o := *dir.options
				if !o.policyGiven {
					o.policy = sequential
				}
				return &o
			}
		}
	}
	o := defaultOptions()
	o.policy = sequential
	return o
}

// maxUpstreams is the most upstreams of one directive, as in CoreDNS.
const maxUpstreams = 15

// parse reads one occurrence of the directive.
func parse(d *server.Directive) (*directive, error) {
	dir := &directive{place: fmt.Sprintf("%s:%d", d.File(), d.Line()), options: defaultOptions()}
	args, err := d.Arguments(0, -1)
	if err != nil {
		return nil, err
	}
	if len(args) == 1 {
		return nil, d.UsageErr("%q has no forwarders: write the addresses to ask behind it, or nothing at all for forwarders that are set at run time", args[0])
	}
	for d.NextBlock() {
		if err := property(d, dir); err != nil {
			return nil, err
		}
	}
	if len(args) == 0 {
		return dir, nil
	}
	if dir.from, err = parseDomain(args[0]); err != nil {
		return nil, d.UsageErr("domain to forward: %w", err)
	}
	for _, text := range args[1:] {
		to, err := addresses(text)
		if err != nil {
			return nil, d.UsageErr("%w", err)
		}
		dir.to = append(dir.to, to...)
	}
	dir.to = distinct(dir.to)
	if len(dir.to) > maxUpstreams {
		return nil, d.UsageErr("%d forwarders: at most %d", len(dir.to), maxUpstreams)
	}
	return dir, nil
}

// parseDomain reads a domain to forward. It refuses what no query would match though it
// looks as if it did: letters that queries have in another form, and wildcards.
func parseDomain(text string) (wire.Name, error) {
	n, err := wire.ParseName(text)
	if err != nil {
		return nil, err
	}
	for off := 0; n[off] != 0; off += int(n[off]) + 1 {
		for _, c := range n[off+1 : off+1+int(n[off])] {
			switch {
			case c > '~':
				return nil, fmt.Errorf("%q has letters that are not ASCII: write it as queries have it, beginning with xn--", text)
			case c <= ' ':
				return nil, fmt.Errorf("%q has a character that belongs into no domain", text)
			}
		}
	}
	if parent, ok := n.Parent(); ok && string(n[:2]) == "\x01*" {
		return nil, fmt.Errorf("%q: a forwarder is for all names in its domain: write %s", text, bare(parent))
	}
	return n, nil
}

// distinct is the addresses without those that stand there twice.
func distinct(all []address) []address {
	var out []address
	seen := make(map[address]bool)
	for _, a := range all {
		if !seen[a] {
			seen[a] = true
			out = append(out, a)
		}
	}
	return out
}

// property reads one line of the block.
func property(d *server.Directive, dir *directive) (err error) {
	o := dir.options
	switch what := d.Val(); what {
	case "except":
		o.except, err = names(d)
	case "policy":
		o.policy, err = policyOf(d)
		o.policyGiven = true
	case "max_fails":
		var n int64
		n, err = number(d, 0, 1<<20)
		o.maxFails = int32(n)
	case "health_check":
		o.health, err = healthOf(d)
	case "max_concurrent":
		o.maxConcurrent, err = number(d, 1, 1<<24)
	case "expire":
		o.expire, err = d.DurationArgument(time.Second)
	case "force_tcp":
		o.forceTCP, err = true, flag(d)
	case "prefer_udp": // which is how we ask anyway
		err = flag(d)
	case "randomize_case":
		o.randomizeCase, err = true, flag(d)
	case "tls":
		o.tls, err = tlsOf(d)
	case "tls_servername":
		o.serverName, err = one(d)
	case "next":
		o.next, err = rcodes(d)
	case "failover":
		o.failover, err = rcodes(d)
	case "allow":
		err = allow(d, dir)
	case "root_hints":
		var path string
		path, err = one(d)
		dir.hints = d.Path(path)
	default:
		return d.UnknownProperty("except", "policy", "max_fails", "health_check", "max_concurrent", "expire", "force_tcp",
			"prefer_udp", "randomize_case", "tls", "tls_servername", "next", "failover", "allow", "root_hints")
	}
	return err
}

func one(d *server.Directive) (string, error) {
	args, err := d.Arguments(1, 1)
	if err != nil {
		return "", err
	}
	return args[0], nil
}

func flag(d *server.Directive) error {
	_, err := d.Arguments(0, 0)
	return err
}

func number(d *server.Directive, least, most int64) (int64, error) {
	what := d.Val()
	text, err := one(d)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, d.UsageErr("%s: %q is not a number from %d to %d", what, text, least, most)
	}
	return n, nil
}

func names(d *server.Directive) ([]wire.Name, error) {
	args, err := d.Arguments(1, -1)
	if err != nil {
		return nil, err
	}
	return d.Names(args)
}

func allow(d *server.Directive, dir *directive) error {
	args, err := d.Arguments(1, -1)
	if err != nil {
		return err
	}
	nets, err := d.Networks(args)
	dir.allow = append(dir.allow, nets...)
	dir.allowAll = dir.allowAll || err == nil && nets == nil
	return err
}

// healthOf reads health_check DURATION [no_rec] [domain NAME].
func healthOf(d *server.Directive) (h healthCheck, err error) {
	h.domain = wire.Root()
	args, err := d.Arguments(1, 4)
	if err != nil {
		return h, err
	}
	if h.interval, err = d.Duration("health_check", args[0], 10*time.Millisecond); err != nil {
		return h, err
	}
	for args = args[1:]; len(args) > 0; args = args[1:] {
		switch {
		case args[0] == "no_rec":
			h.noRec = true
		case args[0] == "domain" && len(args) > 1:
			if h.domain, err = wire.ParseName(args[1]); err != nil {
				return h, d.UsageErr("health_check: %w", err)
			}
			args = args[1:]
		default:
			return h, d.UsageErr("health_check: %q is neither no_rec nor domain NAME", args[0])
		}
	}
	return h, nil
}

// rcodes reads response codes by name.
func rcodes(d *server.Directive) ([]uint16, error) {
	args, err := d.Arguments(1, -1)
	if err != nil {
		return nil, err
	}
	var known []string
	for name := range dns.StringToRcode {
		known = append(known, name)
	}
	var all []uint16
	for _, a := range args {
		code, ok := dns.StringToRcode[strings.ToUpper(a)]
		if !ok || code > 0xFF {
			return nil, d.UsageErr("%q is no response code, such as SERVFAIL or NXDOMAIN%s", a, server.Suggest(strings.ToUpper(a), known))
		}
		all = append(all, uint16(code))
	}
	return all, nil
}

var errNoCertificate = errors.New("no certificate in it")

// tlsOf reads tls, tls CA, tls CERT KEY or tls CERT KEY CA, as CoreDNS has it.
func tlsOf(d *server.Directive) (*tls.Config, error) {
	args, err := d.Arguments(0, 3)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(args) >= 2 {
		pair, err := tls.LoadX509KeyPair(d.Path(args[0]), d.Path(args[1]))
		if err != nil {
			return nil, d.UsageErr("tls: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
		args = args[2:]
	}
	if len(args) == 1 {
		path := d.Path(args[0])
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, d.UsageErr("tls: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, d.UsageErr("tls: %s: %w", path, errNoCertificate)
		}
	}
	return c, nil
}

// address is where an upstream is and how it is spoken to.
type address struct {
	at         netip.AddrPort
	tls        bool
	serverName string // of TLS, "" for the address
}

// String is the address as it is written in a Corefile, with its port.
func (a address) String() string {
	text := a.at.String()
	if a.tls {
		text = "tls://" + text
	}
	if a.serverName != "" {
		text += "%" + a.serverName
	}
	return text
}

// addresses reads one TO: [dns://|tls://]ADDRESS[:PORT][%SERVERNAME], or a file
// such as /etc/resolv.conf whose name servers are meant.
func addresses(text string) ([]address, error) {
	a, err := parseAddress(text)
	if err == nil {
		return []address{a}, nil
	}
	if !strings.Contains(text, "/") || strings.Contains(text, "://") {
		return nil, err
	}
	c, err := dns.ClientConfigFromFile(text)
	if err != nil {
		return nil, fmt.Errorf("forwarders of %s: %w", text, err)
	}
	var all []address
	for _, s := range c.Servers {
		a, err := parseAddress(s)
		if err != nil {
			return nil, fmt.Errorf("forwarders of %s: %w", text, err)
		}
		all = append(all, a)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s names no nameserver", text)
	}
	return all, nil
}

// parseAddress reads a TO that is no file.
func parseAddress(text string) (address, error) {
	var a address
	rest, port := text, uint16(53)
	switch {
	case strings.HasPrefix(rest, "tls://"):
		a.tls, rest, port = true, rest[len("tls://"):], 853
	case strings.HasPrefix(rest, "dns://"):
		rest = rest[len("dns://"):]
	}
	if a.tls {
		rest, a.serverName, _ = strings.Cut(rest, "%")
	}
	if at, err := netip.ParseAddrPort(rest); err == nil {
		a.at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	} else if ip, err := netip.ParseAddr(strings.Trim(rest, "[]")); err == nil {
		a.at = netip.AddrPortFrom(ip.Unmap(), port)
	}
	switch {
	case !a.at.IsValid() && net.ParseIP(rest) == nil:
		return a, fmt.Errorf("%q is no address to forward to: write IP, IP:PORT, tls://IP%%SERVERNAME or a file such as /etc/resolv.conf", text)
	case a.at.Addr().IsUnspecified() || a.at.Addr().IsMulticast() || a.at.Port() == 0:
		return a, fmt.Errorf("%q cannot be asked: write the address and port of a server", text)
	}
	return a, nil
}
