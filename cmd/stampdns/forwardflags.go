package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// forwardFlags are the options of serve about names that are not the stamp's, and
// about changing them while it runs.
type forwardFlags struct {
	forwarders, customDNS, allow []string
	rootHints                    string
	api, apiTokenFile, state     string
}

func (f *forwardFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.forwarders, "forwarder", nil, "`ADDRESS` of a DNS forwarder, which is asked for all names that are not the stamp's")
	flags.StringSliceVar(&f.customDNS, "custom-dns", nil, "`DOMAIN=ADDRESS` of a conditional forwarder; several addresses of a domain stand several times")
	flags.StringSliceVar(&f.allow, "allow", nil, "`NETWORK` whose clients are forwarded for (default loopback, private and link-local networks)")
	flags.StringVar(&f.rootHints, "root-hints", "", "`FILE` with the root's name servers, asked when no forwarder answers")
	flags.StringVar(&f.api, "api", defaultAPI, "`ADDRESS` of the HTTP API, or off")
	flags.StringVar(&f.apiTokenFile, "api-token-file", "", "`FILE` with the token that the API asks for")
	flags.StringVar(&f.state, "state", "", "`FILE` that keeps what is set at run time")
}

// address is the API's address: a URL, as commands take it, is one too.
func (f *forwardFlags) address() (string, error) {
	if !strings.Contains(f.api, "://") {
		return f.api, nil
	}
	u, err := url.Parse(f.api)
	if err != nil || u.Hostname() == "" {
		return "", usagef("%q is neither ADDRESS:PORT nor a URL", f.api)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// write adds the directives that the flags amount to.
func (f *forwardFlags) write(c *corefile) error {
	c.line("cache")
	if err := f.forward(c); err != nil {
		return err
	}
	if f.api == off {
		if f.apiTokenFile != "" {
			return usagef("--api-token-file: the API is off")
		}
	} else {
		addr, err := f.address()
		if err != nil {
			return err
		}
		if err := withPath(c, []string{"api", addr}, "token", f.apiTokenFile); err != nil {
			return err
		}
	}
	if f.state == "" {
		return nil
	}
	path, err := filepath.Abs(f.state)
	if err != nil {
		return err
	}
	c.line("state", path)
	return nil
}

// withPath writes a directive with one property, a file, or without a block where
// there is no file.
func withPath(c *corefile, head []string, property, path string) error {
	if path == "" {
		c.line(head...)
		return nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	c.open(head...)
	c.line(property, path)
	c.close()
	return nil
}

// forward writes the directive that stands for what is set at run time, and has the
// common properties, and one for each domain.
func (f *forwardFlags) forward(c *corefile) error {
	if len(f.allow) > 0 || f.rootHints != "" {
		c.open("forward")
		if len(f.allow) > 0 {
			c.line(append([]string{"allow"}, f.allow...)...)
		}
		if f.rootHints != "" {
			path, err := filepath.Abs(f.rootHints)
			if err != nil {
				return err
			}
			c.line("root_hints", path)
		}
		c.close()
	} else {
		c.line("forward")
	}
	domains, err := f.domains()
	if err != nil {
		return err
	}
	for _, d := range domains {
		c.open(append([]string{"forward", d.name}, d.addresses...)...)
		c.line("policy", "sequential")
		c.close()
	}
	return nil
}

// domain is a domain with its forwarders.
type domain struct {
	name      string
	addresses []string
}

// domains are those of the flags, the root first.
func (f *forwardFlags) domains() ([]domain, error) {
	var all []domain
	if len(f.forwarders) > 0 {
		all = append(all, domain{".", f.forwarders})
	}
	last := -1
	for _, text := range f.customDNS {
		name, address, ok := strings.Cut(text, "=")
		if !ok && last >= 0 && checkForwarder(text) == nil {
			// DOMAIN=ADDRESS,ADDRESS: commas separate values.
			all[last].addresses = append(all[last].addresses, text)
			continue
		}
		if !ok || name == "" || address == "" {
			return nil, usagef("--custom-dns %q is not DOMAIN=ADDRESS", text)
		}
		if name == "." {
			return nil, usagef("--custom-dns %q: forwarders for all names have their own flag, --forwarder", text)
		}
		i := slices.IndexFunc(all, func(d domain) bool { return strings.EqualFold(d.name, name) })
		if i < 0 {
			i = len(all)
			all = append(all, domain{name: name})
		}
		all[i].addresses = append(all[i].addresses, address)
		last = i
	}
	for _, d := range all {
		for _, a := range d.addresses {
			if err := checkForwarder(a); err != nil {
				flag := "--custom-dns " + d.name + "=" + a
				if d.name == "." {
					flag = "--forwarder " + a
				}
				return nil, usagef("%s: %w", flag, err)
			}
		}
	}
	return all, nil
}

// checkForwarder says of what is clearly no address that it is none: what flags
// give shall not be reported as a line of a Corefile that nobody has written.
func checkForwarder(text string) error {
	host := strings.TrimPrefix(strings.TrimPrefix(text, "dns://"), "tls://")
	host, _, _ = strings.Cut(host, "%")
	if _, err := netip.ParseAddrPort(host); err == nil {
		return nil
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || strings.HasPrefix(text, "/") {
		return nil
	}
	return fmt.Errorf("no IP address: write IP, IP:PORT, tls://IP%%SERVERNAME or a file such as /etc/resolv.conf")
}
