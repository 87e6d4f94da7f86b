package main

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestProbeTheStamp asks a served stamp itself, whose API then knows of it.
func TestProbeTheStamp(t *testing.T) {
	r := serve(t, loopback(), free...)
	defer r.stop()
	server := regexp.MustCompile(`azs-ns02\S* +(\S+) port (\d+)`).FindStringSubmatch(r.stdout)
	api := regexp.MustCompile(`api +(http://\S+)`).FindStringSubmatch(r.stdout)
	if server == nil || api == nil {
		t.Fatal("the summary lacks ns02 or the API")
	}
	code, stdout, stderr := runAgainst(nil, "probe", "--resolver", server[1]+":"+server[2], "--api", api[1], "-o", "json")
	var report probeReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitOK || stderr != "" {
		t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
	}
	if !report.Reached || !report.Joined || report.ZonesFrom != "api" || len(report.Zones) != 2 || report.Zones[1].Zone != "east.cloudapp.cloud.fabrikam.com." {
		t.Errorf("%s", stdout)
	}
	for _, z := range report.Zones {
		for _, try := range z.Tries {
			if try.Way != "the stamp itself, with no resolver between" || try.NS != "ns02" || len(try.Sightings) != 1 || try.Sightings[0].Source != try.Source || len(try.Notes) != 0 {
				t.Errorf("%+v", try)
			}
		}
	}
	if code, stdout, stderr := runAgainst(nil, "probe", "--resolver", server[1]+":"+server[2], "--api", api[1], "--zone", "elsewhere.example"); code != exitFailed ||
		!regexp.MustCompile(`(?m)^elsewhere\.example: not reached: REFUSED: what answers is no resolver .*; the stamp did not see the query$`).MatchString(stdout) {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

// FuzzProbeAnswer judges what a resolver may send: nothing of it gets to the terminal
// that is more than text, and only the nonce that was asked for is a proof.
func FuzzProbeAnswer(f *testing.F) {
	z, err := parseProbeZone("a.example")
	if err != nil {
		f.Fatal(err)
	}
	const nonce = "k3v9x2m7q1aa"
	m := new(dns.Msg).SetQuestion(probeName(nonce, z), dns.TypeTXT)
	for _, kind := range []string{"delegated", "forwarding", "cached", "other-nonce", "wildcard", "alias", "question", "empty", "referral", "nodata=a.example.", "nxdomain=.", "rcode=SERVFAIL"} {
		r := new(dns.Msg).SetReply(m)
		(&fakeResolver{t: f, kind: kind}).answer(r, 1, nonce, "a.example.", false)
		raw, err := r.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := new(dns.Msg)
		if r.Unpack(raw) != nil {
			return
		}
		try := &probeTry{Nonce: nonce, answered: true, RCode: rcodeName(r)}
		try.judge(m, r, z, netip.AddrPort{})
		if try.Reached && (txtOf(r) == nil || !strings.EqualFold(parseFacts(txtOf(r))["nonce"], nonce)) {
			t.Errorf("taken for a proof:\n%v", r)
		}
		text := strings.Join(append(try.Notes, try.Text, try.Way, try.NS, try.Source, try.Path, try.Case, try.EDNS, try.RCode), " ")
		if try.Text == "" || text != printable(text) {
			t.Errorf("not fit for a terminal: %q", text)
		}
	})
}
