package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/stamp"
)

// Where serve listens unless told otherwise.
const (
	defaultPort    = 1053
	defaultMetrics = "127.0.0.1:9153"
	defaultHealth  = ":8080"
	defaultReady   = ":8181"
)

// off is the value that turns a part of serve off.
const off = "off"

// logChoices are what --log takes: nothing, or the classes of the log directive.
var logChoices = [...]string{off, "all", "success", "denial", "error"}

// logFormats are the forms of what serve logs.
var logFormats = [...]string{"text", "json"}

// serveFlags are the options of serve: those of the stamp, and where and how it
// is served. All but the last few amount to a Corefile.
type serveFlags struct {
	stamp                  stampFlags
	listen                 []string
	port                   uint16
	metrics, health, ready string
	zones                  string
	nsid                   string
	log                    []string
	forward                forwardFlags
	observe                observeFlags

	conf             string
	logFormat        string
	printConf, check bool

	command *command
	cmd     *cobra.Command
}

func (s *serveFlags) add(c *command, cmd *cobra.Command) {
	s.command, s.cmd = c, cmd
	s.stamp.add(c, cmd)
	f := cmd.Flags()
	f.StringSliceVar(&s.listen, "listen", nil, "`ADDRESS` to listen on, one for both name servers or one for each; the zones publish it\nwhere no --ns01, --ns02 or --stamp says another (default "+listText(c.loopback)+")")
	f.Uint16Var(&s.port, "port", defaultPort, "`PORT` to listen on")
	f.StringVar(&s.metrics, "metrics", defaultMetrics, "`ADDRESS` of the metrics, or off")
	f.StringVar(&s.health, "health", defaultHealth, "`ADDRESS` of the liveness check, or off")
	f.StringVar(&s.ready, "ready", defaultReady, "`ADDRESS` of the readiness check, or off")
	f.StringVar(&s.zones, "zones", "", "serve the zone files in this `DIR` too, as they come and go")
	f.StringVar(&s.nsid, "nsid", "{name}", "`TEXT` to name this server by to who asks for it (NSID), or off")
	f.StringSliceVar(&s.log, "log", []string{off}, "log queries of `CLASS`: off, all, success, denial, error")
	f.StringVar(&s.logFormat, "log-format", logFormats[0], "`FORM` of the log: text, json")
	s.forward.add(cmd)
	s.observe.add(cmd)
	f.StringVar(&s.conf, "conf", "", "serve this Corefile, a `FILE` that says all that the flags could")
	f.BoolVar(&s.printConf, "print-conf", false, "print the Corefile that the flags amount to, and exit")
	f.BoolVar(&s.check, "check", false, "check the configuration and all zones, and exit")
	f.Lookup("log").DefValue = off
	// The one error is that the flag does not exist.
	if err := cmd.MarkFlagDirname("zones"); err != nil {
		panic(err)
	}
	complete(cmd, "log", logChoices[:]...)
	complete(cmd, "log-format", logFormats[:]...)
}

// besidesConf are the flags that have a meaning together with --conf.
func besidesConf(flag string) bool {
	switch flag {
	case "conf", "log-format", "print-conf", "check", "help":
		return true
	}
	return false
}

// plan is what serve is about to do.
type plan struct {
	path string // of the Corefile, empty where there is none to read again
	name string // of the configuration, for messages
	text string
	// stamp is the stamp that the flags describe, nil where --conf is given.
	stamp *stamp.Stamp
}

func (p *plan) corefile() server.Corefile {
	return server.Corefile{Path: p.path, Name: p.name, Text: []byte(p.text)}
}

// flagsName stands in messages for the Corefile that the flags amount to: it is
// what shows it.
const flagsName = "serve --print-conf"

// plan reads the Corefile, or makes it from the flags.
func (s *serveFlags) plan() (*plan, error) {
	if err := oneOf("log-format", s.logFormat, logFormats[:]); err != nil {
		return nil, err
	}
	if s.conf != "" {
		if err := s.alone(); err != nil {
			return nil, err
		}
		cf, err := server.ReadCorefile(s.conf)
		if err != nil {
			return nil, err
		}
		return &plan{path: cf.Path, name: s.conf, text: string(cf.Text)}, nil
	}
	listen, err := s.addresses()
	if err != nil {
		return nil, err
	}
	return s.planFor(listen)
}

// alone checks that nothing is said beside --conf. A variable that says more is
// not an error, since an image may set some for all its uses, but it is told;
// that of --ready is for healthcheck then.
func (s *serveFlags) alone() error {
	var err error
	var ignored []string
	s.cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch {
		case besidesConf(f.Name) || err != nil:
		case f.Changed:
			err = usagef("%s and --%s: the Corefile says all, write it there", s.origin("conf"), f.Name)
		case s.command.fromEnvironment(f) && f.Name != "ready":
			ignored = append(ignored, envName(f.Name))
		}
	})
	if err == nil && len(ignored) > 0 {
		s.command.note("ignored, as the Corefile says all: environment variable %s", strings.Join(ignored, ", "))
	}
	return err
}

// origin says where the user wrote an option: the flag or the variable.
func (s *serveFlags) origin(flag string) string { return s.command.origin(s.cmd, flag) }

// addresses are those to listen on. Where the second of the usual ones does not
// exist, both name servers answer at the first.
func (s *serveFlags) addresses() ([]netip.Addr, error) {
	if len(s.listen) == 0 {
		usual := s.command.loopback
		if len(usual) == 2 && !exists(usual[1]) {
			s.command.note("%s does not exist on this machine: both name servers answer at %s; --listen chooses other addresses",
				usual[1], usual[0])
			usual = usual[:1]
		}
		return usual, nil
	}
	if len(s.listen) > 2 {
		return nil, usagef("%s takes one address or two, got %d: a Corefile's bind takes more", s.origin("listen"), len(s.listen))
	}
	var addrs []netip.Addr
	for _, text := range s.listen {
		addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
		if err != nil {
			return nil, usagef("%s %q is no IP address: the port has its own flag, --port", s.origin("listen"), text)
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// exists says whether addr is one of this machine's. An error of another kind is
// for the server to tell.
func exists(addr netip.Addr) bool {
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err == nil {
		socket.Close()
	}
	return !errors.Is(err, syscall.EADDRNOTAVAIL)
}

// planFor makes the plan of the flags for the given addresses to listen on.
func (s *serveFlags) planFor(listen []netip.Addr) (*plan, error) {
	var published []netip.Addr
	if len(s.listen) > 0 && !listen[0].IsUnspecified() && !listen[len(listen)-1].IsUnspecified() {
		published = listen
	}
	described, warnings, err := s.stamp.describe(published)
	if err != nil {
		return nil, err
	}
	s.stamp.warn(s.untold(described, warnings))
	text, err := s.corefile(described, listen)
	if err != nil {
		return nil, err
	}
	return &plan{name: flagsName, text: text, stamp: described}, nil
}

// untold are the warnings that the server will not log: it logs those about the
// stamp, and about a file that it can read.
func (s *serveFlags) untold(described *stamp.Stamp, warnings []string) []string {
	switch {
	case s.printConf || s.check:
		return warnings
	case s.stamp.piped:
		return slices.DeleteFunc(warnings, func(w string) bool { return slices.Contains(described.Warnings(), w) })
	}
	return nil
}

// corefile is the text that the flags amount to. Paths in it are absolute, so
// that it means the same wherever it is kept.
func (s *serveFlags) corefile(described *stamp.Stamp, listen []netip.Addr) (string, error) {
	var c corefile
	c.open(".:" + strconv.Itoa(int(s.port)))
	bind := []string{"bind"}
	for _, addr := range listen {
		bind = append(bind, addr.String())
	}
	c.line(bind...)
	if err := s.stampDirective(&c, described); err != nil {
		return "", err
	}
	if s.zones != "" {
		dir, err := filepath.Abs(s.zones)
		if err != nil {
			return "", err
		}
		c.open("auto")
		c.line("directory", dir)
		c.close()
	}
	for _, part := range [][2]string{{"prometheus", s.metrics}, {"health", s.health}, {"ready", s.ready}, {"nsid", s.nsid}} {
		if part[1] != off {
			c.line(part[0], part[1])
		}
	}
	c.line("errors")
	if err := s.observe.write(&c, s.forward.api != off); err != nil {
		return "", err
	}
	if err := s.logDirective(&c); err != nil {
		return "", err
	}
	if err := s.forward.write(&c); err != nil {
		return "", err
	}
	c.close()
	return c.String()
}

// explain says of an error of the server which option it is about: who gave
// options has not seen the Corefile that they amount to. What is wrong with a
// value is a fault of the command line; that a file, a folder or an address
// cannot be used is not.
func (s *serveFlags) explain(err error) error {
	if s.conf != "" {
		return err
	}
	var listen *server.ListenError
	if errors.As(err, &listen) {
		flag := "port"
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			flag = "listen"
		}
		for _, f := range [][2]string{{"metrics", s.metrics}, {"health", s.health}, {"ready", s.ready}, {"api", s.forward.api}} {
			if strings.EqualFold(f[1], listen.Addr) {
				flag = f[0]
			}
		}
		return fmt.Errorf("%s: %w", s.origin(flag), listen)
	}
	var config *server.ConfigError
	if !errors.As(err, &config) {
		return err
	}
	switch config.Directive {
	case "stamp":
		return fmt.Errorf("%s: %w", s.origin("stamp"), config.Err)
	case "auto":
		return fmt.Errorf("%s: %w", s.origin("zones"), config.Err)
	case "bind":
		return usagef("%s: %w", s.origin("listen"), config.Err)
	case "prometheus":
		return usagef("%s: %w", s.origin("metrics"), config.Err)
	case "forward":
		return usagef("%s: %w", s.forwardOrigin(config.Err), config.Err)
	case "api":
		return usagef("%s: %w", s.origin("api"), config.Err)
	case "state":
		return fmt.Errorf("%s: %w", s.origin("state"), config.Err)
	case "delegation":
		flag := "resolver"
		if strings.Contains(config.Err.Error(), "learn") {
			flag = "learn"
		}
		return usagef("%s: %w", s.origin(flag), config.Err)
	case "proxyproto":
		return usagef("%s: %w", s.origin("proxy"), config.Err)
	case "health", "ready", "nsid", "log", "journal", "dnstap":
		return usagef("%s: %w", s.origin(config.Directive), config.Err)
	}
	return err
}

// forwardOrigin is the option about forwarding that an error is about.
func (s *serveFlags) forwardOrigin(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "root_hints"):
		return s.origin("root-hints")
	case strings.Contains(text, "network"):
		return s.origin("allow")
	case len(s.forward.forwarders) == 0:
		return s.origin("custom-dns")
	}
	return s.origin("forwarder")
}

// stampDirective writes the whole stamp, or a stamp file and what differs from it.
func (s *serveFlags) stampDirective(c *corefile, described *stamp.Stamp) error {
	lines := described.Options()
	head := []string{"stamp"}
	// A pipe can't be read again: what it said is written out.
	if s.stamp.file != "" && !s.stamp.piped {
		var err error
		if lines, err = s.stamp.lines(); err != nil {
			return err
		}
		file, err := filepath.Abs(s.stamp.file)
		if err != nil {
			return err
		}
		head = append(head, file)
	}
	if len(lines) == 0 {
		c.line(head...)
		return nil
	}
	c.open(head...)
	for _, line := range lines {
		c.line(line...)
	}
	c.close()
	return nil
}

func (s *serveFlags) logDirective(c *corefile) error {
	for _, class := range s.log {
		if err := oneOf("log", class, logChoices[:]); err != nil {
			return err
		}
		if class == off && len(s.log) > 1 {
			return usagef("--log %s: off goes with nothing else", strings.Join(s.log, ","))
		}
	}
	if len(s.log) == 0 || s.log[0] == off {
		return nil
	}
	c.open("log")
	c.line(append([]string{"class"}, s.log...)...)
	if s.logFormat != logFormats[0] {
		c.line("format", s.logFormat)
	}
	c.close()
	return nil
}

// listText lists addresses as flags take them.
func listText(addrs []netip.Addr) string { return strings.ReplaceAll(addresses(addrs), " ", "") }
