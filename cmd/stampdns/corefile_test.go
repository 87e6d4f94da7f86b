package main

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/coredns/caddy/caddyfile"
)

// corefileFlags are flags of serve with values to combine. Those with a FILE or
// DIR get one that exists.
var corefileFlags = [][]string{
	{"--prefix", "AzS"},
	{"--region", "north"},
	{"--domain", "cloud.contoso.com"},
	{"--ns01", "198.51.100.11"},
	{"--ns02", "198.51.100.12,2001:db8::12"},
	{"--vips", "198.51.100.64/26"},
	{"--vips", "198.51.100.64/26,2001:db8:1::/64"},
	{"--identity", "entra"},
	{"--with", "eventhub,azsacr"},
	{"--without", "dbadapter"},
	{"--endpoint", "portal=198.51.100.20"},
	{"--endpoint", "*.blob=198.51.100.21", "--endpoint", "*.blob=2001:db8::21"},
	{"--label", "web01=198.51.100.90,db=198.51.100.91"},
	{"--apex-wildcard", "198.51.100.99"},
	{"--ttl", "60"},
	{"--soa", "3600,600,86400,60"},
	{"--serial", "7"},
	{"--stamp", "FILE"},
	{"--listen", "127.0.0.1"},
	{"--listen", "127.0.0.1,127.0.0.3"},
	{"--listen", "0.0.0.0"},
	{"--listen", "[::1]"},
	{"--port", "5353"},
	{"--metrics", "off"},
	{"--health", "127.0.0.1:8088"},
	{"--ready", "off"},
	{"--zones", "DIR"},
	{"--nsid", "{host} says \"hi\" # twice"},
	{"--log", "all"},
	{"--log", "denial,error", "--log-format", "json"},
}

func printConf(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(append([]string{"serve", "--print-conf"}, args...), nil, &stdout, &stderr, nil); code != 0 || stderr.Len() > 0 {
		t.Fatalf("%q: exit code %d: %s", args, code, &stderr)
	}
	return stdout.String()
}

// TestPrintConfRoundTrip serves what --print-conf prints: it must be accepted
// and come back as it is, for each flag alone and for random combinations.
func TestPrintConfRoundTrip(t *testing.T) {
	dir := t.TempDir()
	stampFile, zoneDir := filepath.Join(dir, "stamp information.json"), filepath.Join(dir, "zone files")
	var info, stderr bytes.Buffer
	if code := run([]string{"stampinfo", "--region", "south"}, nil, &info, &stderr, nil); code != 0 {
		t.Fatal(&stderr)
	}
	if err := os.WriteFile(stampFile, info.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(zoneDir, 0o755); err != nil {
		t.Fatal(err)
	}
	known := strings.NewReplacer("FILE", stampFile, "DIR", zoneDir)
	random := rand.New(rand.NewPCG(1, 2))
	for try := range len(corefileFlags) + 60 {
		var args []string
		used := map[string]bool{}
		for i, flag := range corefileFlags {
			chosen := i == try
			if try >= len(corefileFlags) {
				chosen = random.IntN(4) == 0
			}
			if !chosen || used[flag[0]] {
				continue
			}
			used[flag[0]] = true
			for _, word := range flag {
				args = append(args, known.Replace(word))
			}
		}
		text := printConf(t, args...)
		conf := filepath.Join(dir, "Corefile")
		if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if again := printConf(t, "--conf", conf); again != text {
			t.Errorf("%q: printed\n%s\nthen\n%s", args, text, again)
		}
		var stdout, stderr bytes.Buffer
		if code := run([]string{"serve", "--check", "--conf", conf}, nil, &stdout, &stderr, nil); code != 0 {
			t.Errorf("%q: exit code %d: %s\n%s", args, code, &stderr, text)
		}
	}
}

// TestPrintConfWithOneAddress: where the second of the usual addresses does not
// exist, what is printed is what is served, and is accepted as a Corefile.
func TestPrintConfWithOneAddress(t *testing.T) {
	var stdout, stderr bytes.Buffer
	c := &command{stdout: &stdout, stderr: &stderr, loopback: []netip.Addr{
		netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.77")}}
	if code := c.run([]string{"serve", "--print-conf"}); code != 0 || !strings.Contains(stdout.String(), "\n    bind 127.0.0.1\n") {
		t.Errorf("exit code %d:\n%s", code, &stdout)
	}
	if want := "stampdns: 192.0.2.77 does not exist on this machine: both name servers answer at 127.0.0.1"; !strings.HasPrefix(stderr.String(), want) {
		t.Errorf("stderr is %q, want %q", &stderr, want)
	}
}

// TestPrintConfSaysAll looks for each value in the text: a flag that does not
// reach the Corefile has no effect.
func TestPrintConfSaysAll(t *testing.T) {
	usual := printConf(t)
	for _, flag := range corefileFlags {
		switch flag[0] {
		case "--stamp", "--zones":
			continue
		}
		text := printConf(t, flag...)
		if text == usual {
			t.Errorf("%q changes nothing", flag)
		}
	}
}

func TestPublishedAddresses(t *testing.T) {
	for _, test := range []struct {
		args       []string
		ns01, ns02 string
	}{
		{nil, "192.0.2.11", "192.0.2.12"},
		{[]string{"--listen", "127.0.0.5,127.0.0.6"}, "127.0.0.5", "127.0.0.6"},
		{[]string{"--listen", "127.0.0.5"}, "127.0.0.5", "127.0.0.5"},
		{[]string{"--listen", "0.0.0.0"}, "192.0.2.11", "192.0.2.12"},
		{[]string{"--listen", "::"}, "192.0.2.11", "192.0.2.12"},
		{[]string{"--listen", "127.0.0.5,127.0.0.6", "--ns02", "198.51.100.12"}, "127.0.0.5", "198.51.100.12"},
	} {
		text := printConf(t, test.args...)
		if !strings.Contains(text, " ns01 "+test.ns01+"\n") || !strings.Contains(text, " ns02 "+test.ns02+"\n") {
			t.Errorf("%q: want ns01 %s and ns02 %s:\n%s", test.args, test.ns01, test.ns02, text)
		}
	}
}

// FuzzQuote checks that each value that quote accepts is one token, and itself.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", "plain", "two words", `"`, `a\`, `\"`, "#", "a#b", "{", "{$HOME}", "\n", `C:\zones`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		quoted, err := quote(value)
		if err != nil {
			return
		}
		d := caddyfile.NewDispenser("test", strings.NewReader("word "+quoted+" word\n"))
		var got []string
		for d.Next() {
			got = append(got, d.Val())
		}
		if want := []string{"word", value, "word"}; !reflect.DeepEqual(got, want) {
			t.Errorf("%q is written %s and read as %q", value, quoted, got)
		}
	})
}
