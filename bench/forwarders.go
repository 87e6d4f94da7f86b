//go:build linux

package main

import "fmt"

// forwarders are the peers that only forward, each with one worker, logging off,
// and all zones of their own out of the way. What they forward to is on loopback.
func forwarders() []*program { return []*program{dnsdist(), unbound()} }

// forwards says whether the dataset is one for forwarders.
func (d *dataset) forwards() bool { return d.upstream.IsValid() }

// manyNames is how many names need larger caches than the mixes.
const manyNames = 100_000

func dnsdist() *program {
	return &program{
		name: "dnsdist", command: "dnsdist", packages: "dnsdist", version: []string{"--version"}, peer: true,
		forward: func(s *setup) ([]string, error) {
			conf := []string{
				fmt.Sprintf("setLocal(%q)", s.addr),
				`setACL("127.0.0.0/8")`,
				fmt.Sprintf("newServer({address=%q})", s.data.upstream),
				// It is stopped between its turns, and would take that for a dead upstream.
				"getServer(0):setUp()",
				`setSecurityPollSuffix("")`,
				// As many as we do; by itself it reads queries one by one.
				fmt.Sprintf("setUDPMultipleMessagesVectorSize(%d)", datagramBatch),
			}
			if s.data.cached > 0 {
				conf = append(conf, fmt.Sprintf(`getPool(""):setCache(newPacketCache(%d))`, max(2*s.data.cached, manyNames)))
			}
			path, err := s.write("dnsdist.conf", conf...)
			return []string{"--supervised", "--disable-syslog", "-C", path}, err
		},
	}
}

func unbound() *program {
	return &program{
		name: "unbound", command: "unbound", packages: "unbound", version: []string{"-V"}, peer: true,
		forward: func(s *setup) ([]string, error) {
			messages, records := "64m", "128m"
			if s.data.cached > manyNames {
				messages, records = "1g", "2g"
			}
			noCache := "no"
			if s.data.cached == 0 {
				noCache = "yes"
			}
			path, err := s.write("unbound.conf",
				"server:",
				fmt.Sprintf("  interface: %s@%d", s.addr.Addr(), s.addr.Port()),
				"  num-threads: 1",
				"  msg-cache-slabs: 1",
				"  rrset-cache-slabs: 1",
				"  infra-cache-slabs: 1",
				"  key-cache-slabs: 1",
				"  msg-cache-size: "+messages,
				"  rrset-cache-size: "+records,
				`  module-config: "iterator"`,
				"  minimal-responses: yes",
				"  do-ip6: no",
				"  do-not-query-localhost: no",
				"  do-daemonize: no",
				fmt.Sprintf("  directory: %q", s.dir),
				`  username: ""`,
				`  chroot: ""`,
				`  pidfile: ""`,
				"  use-syslog: no",
				"  verbosity: 0",
				"remote-control:",
				"  control-enable: no",
				"forward-zone:",
				`  name: "."`,
				fmt.Sprintf("  forward-addr: %s@%d", s.data.upstream.Addr(), s.data.upstream.Port()),
				"  forward-no-cache: "+noCache,
			)
			return []string{"-d", "-c", path}, err
		},
	}
}
