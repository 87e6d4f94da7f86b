//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// clientCase is a command of dig or kdig, without the server's address, and
// patterns of what it prints: want must match, not must not.
type clientCase struct {
	what    string
	command string
	want    []string
	not     []string
}

// clientCases are the odd queries that people and probes send; %s is the
// stamp's zone, or for the name many its cloudapp zone.
var clientCases = []clientCase{
	{
		"dig as it comes, with a cookie", "dig portal.%s",
		[]string{"status: NOERROR", "flags: qr aa rd;", "ANSWER: 1,", "EDNS: version: 0, flags:; udp: 1232"},
		[]string{"COOKIE", "WARNING: .*malformed"},
	},
	{"kdig as it comes", "kdig portal.%s", []string{"status: NOERROR", "Flags: qr aa rd;", "ANSWER: 1;"}, nil},
	{"the name server's name, dig", "dig +nsid portal.%s", []string{"status: NOERROR", `NSID: .*\("interop"\)`}, nil},
	{"the name server's name, kdig", "kdig +nsid portal.%s", []string{"status: NOERROR", `NSID: .*"interop"`}, nil},
	{"no name where none is asked for", "kdig +edns portal.%s", []string{"status: NOERROR"}, []string{"NSID"}},
	{
		"an option nobody knows", "dig +nocookie +ednsopt=65001:c0ffee portal.%s",
		[]string{"status: NOERROR", "ANSWER: 1,", "OPT PSEUDOSECTION"},
		[]string{"^; OPT=", "^; [^<].*(?i)c0 ?ff ?ee"},
	},
	{"a client subnet", "dig +subnet=192.0.2.0/24 portal.%s", []string{"status: NOERROR", "ANSWER: 1,"}, []string{"CLIENT-SUBNET"}},
	{"padding", "kdig +edns +padding=64 portal.%s", []string{"status: NOERROR", "ANSWER: 1;"}, nil},
	{"no EDNS", "dig +noedns portal.%s", []string{"status: NOERROR", "ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 0"}, []string{"OPT"}},
	{"DNSSEC wanted", "dig +dnssec portal.%s", []string{"status: NOERROR", "EDNS: version: 0, flags: do; udp"}, nil},
	{
		"a later version of EDNS", "dig +edns=1 +noednsnegotiation portal.%s",
		[]string{"status: BADVERS", "ANSWER: 0,", "EDNS: version: 0"}, nil,
	},
	{"a later version, dig negotiates", "dig +edns=1 portal.%s", []string{"BADVERS, retrying with EDNS version 0", "status: NOERROR"}, nil},
	{"unknown EDNS flags", "dig +ednsflags=0x40 portal.%s", []string{"status: NOERROR", "EDNS: version: 0, flags:; udp"}, []string{"MBZ"}},
	{"unknown header flag", "dig +zflag portal.%s", []string{"status: NOERROR", "flags: qr aa rd;"}, []string{"MBZ"}},
	{"flags that are for resolvers", "dig +adflag +cdflag portal.%s", []string{"status: NOERROR", "flags: qr aa rd( cd)?;"}, []string{"flags: [^;]*ad[^;]*;"}},
	{"no recursion asked", "dig +norec portal.%s", []string{"flags: qr aa;"}, nil},
	{"NOTIFY", "dig +opcode=notify %s SOA", []string{"opcode: NOTIFY, status: NOTIMP"}, nil},
	{"STATUS", "dig +opcode=status %s", []string{"opcode: STATUS, status: NOTIMP"}, nil},
	{"UPDATE", "dig +opcode=update %s", []string{"opcode: UPDATE, status: NOTIMP"}, nil},
	{"opcode 15", "dig +opcode=15 %s", []string{"opcode: RESERVED15, status: NOTIMP"}, nil},
	{"a header alone", "dig +header-only", []string{"status: FORMERR", "QUERY: 0, ANSWER: 0"}, nil},
	{"class CH", "dig CH TXT version.bind", []string{"status: REFUSED", "ANSWER: 0"}, nil},
	{"class CH, kdig", "kdig -c CH -t TXT id.server", []string{"status: REFUSED", "ANSWER: 0"}, nil},
	{"class ANY", "dig -c ANY portal.%s", []string{"status: REFUSED", "ANSWER: 0"}, nil},
	{
		"signed with a key that the server does not know, dig", "dig -y hmac-sha256:key.example:c3RhbXBkbnM= portal.%s",
		[]string{"status: NOTAUTH", "ANSWER: 0,", `TSIG PSEUDOSECTION`, `key\.example\..*TSIG\s+hmac-sha256\. \d+ 300 0 \d+ BADKEY 0`}, []string{"malformed"},
	},
	{
		"the same with kdig", "kdig +edns -y hmac-sha256:key.example:c3RhbXBkbnM= portal.%s",
		[]string{"status: BADKEY", "ANSWER: 0;", `TSIG\s+hmac-sha256\. \d+ 300 0 \d+ BADKEY 0`}, []string{"malformed"},
	},
	{"somebody else's zone", "dig www.contoso.com", []string{"status: REFUSED", `EDE: 20 \(Not Authoritative\)`}, nil},
	{"the root", "dig . NS", []string{"status: REFUSED", "ANSWER: 0"}, nil},
	{"AXFR over TCP", "dig %s AXFR", []string{"Transfer failed"}, []string{"SOA"}},
	{"IXFR over TCP", "dig +tcp %s IXFR=1", []string{"Transfer failed"}, nil},
	{"AXFR over UDP", "dig +notcp -t AXFR %s", []string{"Transfer failed"}, []string{"SOA"}},
	{"ANY", "dig portal.%s ANY", []string{"status: NOERROR", "ANSWER: 1,", "portal.%s"}, nil},
	{
		"TCP, two queries on one connection", "dig +tcp +keepopen portal.%s graph.%s",
		[]string{`(?s)status: NOERROR.*ANSWER: 1,.*status: NOERROR.*ANSWER: 1,`, `\(TCP\)`}, []string{"connection reset", "end of file"},
	},
	{
		"TCP, kdig", "kdig +tcp +keepopen portal.%s graph.%s",
		[]string{`(?s)status: NOERROR.*ANSWER: 1;.*status: NOERROR.*ANSWER: 1;`, `\(TCP\)`}, []string{"WARNING", ";; ERROR"},
	},
	{
		"an answer that fits no datagram", "dig +notcp +ignore +bufsize=4096 many.%s",
		[]string{"flags: qr aa tc rd;", "status: NOERROR", "MSG SIZE  rcvd: ([1-9][0-9]{0,2}|1[01][0-9][0-9]|12[0-2][0-9]|123[0-2])$"}, nil,
	},
	{"the same, dig comes again over TCP", "dig many.%s", []string{"Truncated, retrying in TCP mode", "ANSWER: 100,", `\(TCP\)`}, nil},
	{"the same, kdig comes again over TCP", "kdig many.%s", []string{"ANSWER: 100;", `\(TCP\)`}, nil},
	{"no EDNS, 512 bytes", "dig +noedns +ignore many.%s", []string{"flags: qr aa tc rd;", "MSG SIZE  rcvd: ([1-9][0-9]?|[1-4][0-9][0-9]|50[0-9]|51[0-2])$"}, nil},
	{"a size below 512 means 512", "dig +bufsize=100 portal.%s", []string{"flags: qr aa rd;", "ANSWER: 1,"}, nil},
	{"mixed case", "dig pOrTaL.%s", []string{"status: NOERROR", `(?m)^;pOrTaL\.`, `(?m)^pOrTaL\..*\sA\s`}, nil},
}

// TestClients has dig and kdig ask all of them.
func TestClients(t *testing.T) {
	lab := newLab(t)
	client, ns01 := lab.host("client", "198.51.100.9"), lab.host("ns01", "192.0.2.11")
	args := []string{"--nsid", "interop"}
	for i := range manyAddresses {
		args = append(args, "--label", fmt.Sprintf("many=198.51.100.%d", i+131))
	}
	startStamp(t, ns01, args...)
	for _, c := range clientCases {
		t.Run(c.what, func(t *testing.T) {
			zone := strings.TrimSuffix(stampZone, ".")
			if strings.Contains(c.command, " many.") {
				zone = strings.TrimSuffix(cloudappZone, ".")
			}
			out := client.command(t, ns01.addr, strings.ReplaceAll(c.command, "%s", zone))
			for _, pattern := range c.want {
				if !regexp.MustCompile("(?m)" + strings.ReplaceAll(pattern, "%s", zone)).MatchString(out) {
					t.Errorf("%s: nothing matches %q in:\n%s", c.command, pattern, out)
				}
			}
			for _, pattern := range c.not {
				if regexp.MustCompile("(?m)" + pattern).MatchString(out) {
					t.Errorf("%s: %q must not match in:\n%s", c.command, pattern, out)
				}
			}
		})
	}
	t.Run("AXFR is refused", func(t *testing.T) {
		reply := client.mustAsk(t, "tcp", ns01.addr, question{name: stampZone, typ: dns.TypeAXFR})
		if reply.Rcode != dns.RcodeRefused || len(reply.Answer) != 0 {
			t.Errorf("AXFR: %v", reply)
		}
	})
}

// command runs a client on the host against a server, asking once; a client
// that exits with an error still has said what came.
func (h *host) command(t *testing.T, server netip.Addr, line string) string {
	t.Helper()
	words := strings.Fields(line)
	args := append([]string{"netns", "exec", h.netns, words[0], "@" + server.String()}, words[1:]...)
	out, err := exec.Command("ip", args...).CombinedOutput()
	if len(out) == 0 {
		t.Fatalf("%s: %v", line, err)
	}
	return string(out)
}
