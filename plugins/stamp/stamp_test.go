package stamp

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// lab is a server with the stamp plugin, and eyes in it.
type lab struct {
	*server.Server
	started chan setting // one for each configuration that starts
	log     syncBuffer
}

// setting is what the plugin left in a block.
type setting struct {
	store *zones.Store
	block *server.Block
}

// newLab makes a lab. Its server listens on the loopback address.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{started: make(chan setting, 10)}
	eyes := server.Plugin{Name: "eyes", Implicit: true, Setup: func(d *server.Directive) (server.Handler, error) {
		d.Block.Binds = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
		store, _ := server.Shared[*zones.Store](d)
		block := d.Block
		d.OnStart(func() { l.started <- setting{store, block} })
		return answerer{store}, nil
	}}
	l.Server = server.New(server.Options{
		Plugins: []server.Plugin{{Name: "bind", Setup: ignore}, Plugin(), eyes},
		Logger:  slog.New(slog.NewTextHandler(&l.log, nil)),
		Workers: 1,
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := l.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return l
}

func ignore(d *server.Directive) (server.Handler, error) { return nil, nil }

// answerer answers from a Store.
type answerer struct{ store *zones.Store }

func (a answerer) In(q *server.Query) server.Verdict {
	reply, result := a.store.Set().Answer(q.Reply, zones.Question{Name: q.Name, Type: q.Type}, q.Limit())
	if result.Zone == nil {
		return server.Next
	}
	q.Reply = reply
	return server.Answered
}

func (answerer) Out(*server.Query) {}

// syncBuffer is a log that tests may read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start starts the configuration and returns what the plugin left.
func (l *lab) start(t *testing.T, cf server.Corefile) setting {
	t.Helper()
	if err := l.Start(cf); err != nil {
		t.Fatal(err)
	}
	return l.next(t)
}

func (l *lab) reload(t *testing.T) setting {
	t.Helper()
	if err := l.Reload(); err != nil {
		t.Fatal(err)
	}
	return l.next(t)
}

// next waits for a configuration to start.
func (l *lab) next(t *testing.T) setting {
	t.Helper()
	select {
	case s := <-l.started:
		return s
	case <-time.After(20 * time.Second):
		t.Fatalf("no configuration started; the log is\n%s", l.log.String())
		return setting{}
	}
}

func corefile(text string) server.Corefile {
	return server.Corefile{Name: "Corefile", Text: []byte(text)}
}

// answers are the addresses that a zone of the store has for a name.
func (s setting) answers(t *testing.T, owner string) string {
	t.Helper()
	name, err := wire.ParseName(owner)
	if err != nil {
		t.Fatal(err)
	}
	z, _ := s.store.Set().Find(name)
	if z == nil {
		return ""
	}
	var out []string
	for r := range z.Records() {
		lower := append(wire.Name{}, r.Owner...)
		wire.Lower(lower)
		if a, ok := netip.AddrFromSlice(r.Data); ok && string(lower) == string(name) && (r.Type == dns.TypeA || r.Type == dns.TypeAAAA) {
			out = append(out, a.String())
		}
	}
	return strings.Join(out, " ")
}

// serial is that of both zones, which must agree.
func (s setting) serial(t *testing.T) uint32 {
	t.Helper()
	all := s.store.Status()
	if len(all) != 2 || all[0].Serial != all[1].Serial || !all[0].Loaded || !all[1].Loaded {
		t.Fatalf("zones %+v", all)
	}
	return all[0].Serial
}

// TestServes asks the sample stamp over the network.
func TestServes(t *testing.T) {
	l := newLab(t)
	l.start(t, corefile(".:0 {\n stamp\n}\n"))
	server := l.Addrs()[0].String()
	for _, test := range []struct {
		name  string
		typ   uint16
		rcode int
		want  string
	}{
		{"Portal.East.cloud.fabrikam.com.", dns.TypeA, dns.RcodeSuccess, "192.0.2.37"},
		{"account.blob.east.cloud.fabrikam.com.", dns.TypeA, dns.RcodeSuccess, "192.0.2.46"},
		{"azs-ns02.east.cloud.fabrikam.com.", dns.TypeA, dns.RcodeSuccess, "192.0.2.12"},
		{"portal.east.cloud.fabrikam.com.", dns.TypeAAAA, dns.RcodeSuccess, ""},
		{"no.east.cloud.fabrikam.com.", dns.TypeA, dns.RcodeNameError, ""},
		{"web01.east.cloudapp.cloud.fabrikam.com.", dns.TypeA, dns.RcodeNameError, ""},
		{"east.cloudapp.cloud.fabrikam.com.", dns.TypeNS, dns.RcodeSuccess, "azs-ns01.east.cloud.fabrikam.com. azs-ns02.east.cloud.fabrikam.com."},
		{"cloud.fabrikam.com.", dns.TypeSOA, dns.RcodeRefused, ""},
	} {
		m := new(dns.Msg)
		m.SetQuestion(test.name, test.typ)
		r, _, err := new(dns.Client).Exchange(m, server)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, rr := range r.Answer {
			got = append(got, dns.Field(rr, 1))
		}
		if r.Rcode != test.rcode || strings.Join(got, " ") != test.want || r.Authoritative != (test.rcode != dns.RcodeRefused) {
			t.Errorf("%s %s: want %s %q, got\n%s", test.name, dns.TypeToString[test.typ], dns.RcodeToString[test.rcode], test.want, r)
		}
	}
}

// TestNameServers says by which addresses queries tell the name servers apart.
func TestNameServers(t *testing.T) {
	l := newLab(t)
	s := l.start(t, corefile(".:0 {\n stamp {\n  prefix AzS\n  ns02 192.0.2.12 2001:db8::12\n }\n}\n"))
	want := []server.NameServer{
		{Label: "ns01", Name: "AzS-ns01.east.cloud.fabrikam.com", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.11")}},
		{Label: "ns02", Name: "AzS-ns02.east.cloud.fabrikam.com", Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.12"), netip.MustParseAddr("2001:db8::12")}},
	}
	if !reflect.DeepEqual(s.block.NameServers, want) {
		t.Errorf("name servers %v", s.block.NameServers)
	}
}

// TestErrors has wrong directives, by their lines, and what is said about them.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bad.json"), "{\n\n\"RegionName\" \"east\"}")
	for _, test := range []struct{ text, want string }{
		{".:0 {\n stamp a b\n}", "Corefile:2: stamp: stamp takes at most one argument, not 2 (usage: stamp [FILE] { PROPERTY ARGUMENT... })"},
		{".:0 {\n stamp " + dir + "/none.json\n}", "Corefile:2: stamp: " + dir + "/none.json: no such file or directory: give the path of an Azure"},
		{".:0 {\n stamp " + os.DevNull + "\n}", "Corefile:2: stamp: " + os.DevNull + ": this is no regular file, and a reload could not read it again: copy it"},
		{".:0 {\n stamp " + dir + "\n}", "Corefile:2: stamp: " + dir + ": this is no regular file"},
		{".:0 {\n stamp " + dir + "/bad.json\n}", "Corefile:2: stamp: " + dir + "/bad.json:3: this is no JSON"},
		{".:0 {\n stamp {\n  prefx azs\n }\n}", `Corefile:3: stamp: unknown property "prefx"; did you mean "prefix"?`},
		{".:0 {\n stamp {\n  relod 1s\n }\n}", `Corefile:3: stamp: unknown property "relod"; did you mean "reload"?`},
		{".:0 {\n stamp {\n  reload soon\n }\n}", `Corefile:3: stamp: reload: "soon" is no duration`},
		{".:0 {\n stamp {\n  region\n }\n}", "Corefile:3: stamp: region: want region NAME"},
		{".:0 {\n stamp {\n  ttl 60\n  ns01 azs-ns01\n }\n}", `Corefile:4: stamp: ns01: "azs-ns01" is no IP address`},
		{".:0 {\n stamp {\n  ttl 60\n  ttl 60\n }\n}", "Corefile:4: stamp: ttl is given twice"},
		{".:0 {\n stamp {\n  endpoint portl 192.0.2.60\n }\n}", `*.azsacr; did you mean "portal"?`},
		{".:0 {\n stamp {\n  with evenhub\n }\n}", `azsacr; did you mean "eventhub"?`},
		{".:0 {\n\n stamp {\n  vips 192.0.2.32/28\n }\n}", "Corefile:3: stamp: vips 192.0.2.32/28 has 14 host addresses, but 20 are needed"},
		{".:0 {\n stamp\n stamp\n}", "Corefile:3: stamp: stands twice in one server block"},
		{"example.org:0 {\n stamp\n}", "Corefile:2: stamp: no query for the stamp's zone east.cloud.fabrikam.com. comes here: add it to the keys"},
		{"east.cloud.fabrikam.com:0 {\n stamp\n}", "no query for the stamp's zone east.cloudapp.cloud.fabrikam.com. comes here"},
	} {
		err := newLab(t).Validate(corefile(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error\n%v\nwant\n%s", test.text, err, test.want)
		}
	}
}

// TestZoneTaken: another source in the block has one of the stamp's zones.
func TestZoneTaken(t *testing.T) {
	other := server.Plugin{Name: "other", Setup: func(d *server.Directive) (server.Handler, error) {
		name, err := wire.ParseName("east.cloudapp.cloud.fabrikam.com")
		if err != nil {
			return nil, err
		}
		return nil, server.Share(d, zones.NewStore).Declare(name, "other at Corefile:2")
	}}
	s := server.New(server.Options{Plugins: []server.Plugin{other, Plugin()}, Logger: slog.New(slog.DiscardHandler)})
	err := s.Validate(corefile(".:0 {\n other\n stamp\n}"))
	want := "Corefile:3: stamp: zone east.cloudapp.cloud.fabrikam.com. comes from other at Corefile:2 and from stamp at Corefile:3"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	// Replaced whole, as a reader may look at any moment.
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func sampleFile(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("testdata/AzureStackStampInformation.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestFile reads the stamp file beside the Corefile; properties take the place
// of what it says, and what looks wrong in it is logged.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "stamp.json"), strings.Replace(sampleFile(t), "https://portal.west", "https://portal.east", 1))
	write(t, filepath.Join(dir, "Corefile"), ".:0 {\n stamp stamp.json {\n  ns02 198.51.100.99\n  identity entra\n  label web01 203.0.113.90\n }\n}\n")
	cf, err := server.ReadCorefile(filepath.Join(dir, "Corefile"))
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	s := l.start(t, cf)
	for name, want := range map[string]string{
		"azs-ns01.west.azurestack.contoso.com":       "198.51.100.10",
		"azs-ns02.west.azurestack.contoso.com":       "198.51.100.99",
		"portal.west.azurestack.contoso.com":         "192.0.2.37",
		"adfs.west.azurestack.contoso.com":           "",
		"web01.west.cloudapp.azurestack.contoso.com": "203.0.113.90",
	} {
		if got := s.answers(t, name); got != want {
			t.Errorf("%s has %q, want %q", name, got, want)
		}
	}
	if log := l.log.String(); !strings.Contains(log, "TenantPortal is at portal.east.azurestack.contoso.com") {
		t.Errorf("the log is\n%s", log)
	}
}

// TestWarnings: what looks wrong with options or the file is logged, once.
func TestWarnings(t *testing.T) {
	l := newLab(t)
	l.start(t, corefile(".:0 {\n stamp {\n  domain east.cloud.fabrikam.com\n }\n}\n"))
	if log := l.log.String(); strings.Count(log, "east.east.cloud.fabrikam.com has the region twice") != 1 || !strings.Contains(log, "stamp=Corefile:2") {
		t.Errorf("the log is\n%s", log)
	}
	file := filepath.Join(t.TempDir(), "stamp.json")
	write(t, file, strings.ReplaceAll(sampleFile(t), "azurestack.contoso.com", "azurestack.local"))
	l = newLab(t)
	l.start(t, corefile(".:0 {\n stamp "+file+"\n}\n"))
	if log := l.log.String(); strings.Count(log, "azurestack.local lies below .local") != 1 || !strings.Contains(log, "stamp="+file) {
		t.Errorf("the log is\n%s", log)
	}
}

// TestSerial reloads: the serial grows when a record changes, and only then.
func TestSerial(t *testing.T) {
	path := filepath.Join(t.TempDir(), "Corefile")
	set := func(properties string) { write(t, path, ".:0 {\n stamp {\n"+properties+"\n }\n}\n") }
	set("")
	cf, err := server.ReadCorefile(path)
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	if got := l.start(t, cf).serial(t); got != 1 {
		t.Errorf("at the start: %d", got)
	}
	if got := l.reload(t).serial(t); got != 1 {
		t.Errorf("nothing changed: %d", got)
	}
	set("label web01 192.0.2.90")
	if err := l.Validate(cf); err != nil {
		t.Error(err)
	}
	if got := l.reload(t).serial(t); got != 2 {
		t.Errorf("a label came: %d", got)
	}
	set("label web01 192.0.2.90\nlabel web_2 192.0.2.91")
	if l.Reload() == nil {
		t.Error("a wrong label was accepted")
	}
	set("label web01 192.0.2.90\nttl 60")
	s := l.reload(t)
	if got := s.serial(t); got != 3 || s.answers(t, "web01.east.cloudapp.cloud.fabrikam.com") != "192.0.2.90" {
		t.Errorf("another TTL: %d", got)
	}
	set("serial 7")
	if got := l.reload(t).serial(t); got != 7 {
		t.Errorf("serial 7: %d", got)
	}
	if log := l.log.String(); strings.Contains(log, "serial did not grow") {
		t.Errorf("the log is\n%s", log)
	}
	set("serial 7\nttl 60")
	l.reload(t)
	if log := l.log.String(); strings.Count(log, "serial did not grow") != 1 {
		t.Errorf("the log is\n%s", log)
	}
	set("ttl 61")
	if got := l.reload(t).serial(t); got != 8 {
		t.Errorf("after serial 7: %d", got)
	}
	set("ttl 61\nserial 20")
	l.reload(t)
	set("ttl 61")
	if got := l.reload(t).serial(t); got != 20 {
		t.Errorf("the same records after serial 20: %d", got)
	}
}

// TestWatch changes the stamp file: a good one is served, a bad one leaves what
// there was and shows why.
func TestWatch(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stamp.json")
	good := sampleFile(t)
	write(t, file, good)
	l := newLab(t)
	s := l.start(t, corefile(".:0 {\n stamp "+file+" {\n  reload 5ms\n }\n}\n"))
	const ns01 = "azs-ns01.west.azurestack.contoso.com"
	if got := s.answers(t, ns01); got != "198.51.100.10" {
		t.Fatalf("at the start: %s", got)
	}
	write(t, file, strings.Replace(good, `"198.51.100.10"`, `"198.51.100.20"`, 1))
	s = l.next(t)
	if got := s.answers(t, ns01); got != "198.51.100.20" || s.serial(t) != 2 {
		t.Errorf("another address: %s, serial %d", got, s.serial(t))
	}
	write(t, file, "{")
	awaitFailure(t, s, "this is no JSON")
	if got := s.answers(t, ns01); got != "198.51.100.20" {
		t.Errorf("a broken file: %s", got)
	}
	write(t, file, good)
	s = l.next(t)
	if got := s.answers(t, ns01); got != "198.51.100.10" || s.serial(t) != 3 {
		t.Errorf("the first file again: %s, serial %d", got, s.serial(t))
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	awaitFailure(t, s, "no such file")
	write(t, file, good)
	s = l.next(t)
	if got := s.serial(t); got != 3 {
		t.Errorf("the same file back again: serial %d", got)
	}
	for _, z := range s.store.Status() {
		if z.Err != nil {
			t.Errorf("zone %s: %v", z.Origin, z.Err)
		}
	}
}

// TestNews takes a change up that nobody looks for in an hour.
func TestNews(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Log("only Linux tells")
		return
	}
	file := filepath.Join(t.TempDir(), "stamp.json")
	good := sampleFile(t)
	write(t, file, good)
	l := newLab(t)
	l.start(t, corefile(".:0 {\n stamp "+file+" {\n  reload 1h\n }\n}\n"))
	deadline := time.Now().Add(20 * time.Second)
	for {
		// Again and again, as the server may not listen yet.
		write(t, file, strings.Replace(good, `"198.51.100.10"`, `"198.51.100.20"`, 1))
		select {
		case s := <-l.started:
			if got := s.answers(t, "azs-ns01.west.azurestack.contoso.com"); got != "198.51.100.20" {
				t.Errorf("the new address: %s", got)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("no reload; the log is\n%s", l.log.String())
		}
	}
}

// awaitFailure waits until both zones show an error with want in it.
func awaitFailure(t *testing.T, s setting, want string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		failed := 0
		for _, z := range s.store.Status() {
			if z.Err != nil && strings.Contains(z.Err.Error(), want) {
				failed++
			}
		}
		if failed == 2 {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no failure with %q: %+v", want, s.store.Status())
		}
	}
}

// TestReadme starts every Corefile of the README.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rest := string(readme); ; n++ {
		_, after, ok := strings.Cut(rest, "```corefile\n")
		if !ok {
			break
		}
		text, after, _ := strings.Cut(after, "```")
		rest = after
		s := newLab(t).start(t, corefile(strings.ReplaceAll(text, ":1053", ":0")))
		if got := s.serial(t); got != 1 {
			t.Errorf("serial %d of\n%s", got, text)
		}
	}
	if n == 0 {
		t.Error("no Corefile in the README")
	}
}
