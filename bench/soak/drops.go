//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// drops counts the datagrams that sockets could not take: those of the server at
// the addresses that the load asks, and those of the load itself. It sums by
// socket over the run, as the kernel forgets the count of one that is closed.
type drops struct {
	servers []netip.AddrPort
	clients map[netip.AddrPort]bool
	softnet uint64 // at the start

	mu             sync.Mutex
	sockets        map[uint64]*socketDrops // by inode
	softnetDropped uint64
}

type socketDrops struct {
	server bool
	most   uint64
}

// udpSocket is a line of /proc/net/udp.
type udpSocket struct {
	local        netip.AddrPort
	inode, drops uint64
}

func newDrops(servers []netip.AddrPort, flows []*udpFlow) (*drops, error) {
	d := &drops{servers: servers, clients: make(map[netip.AddrPort]bool), sockets: make(map[uint64]*socketDrops)}
	for _, f := range flows {
		d.clients[f.conn.LocalAddr().(*net.UDPAddr).AddrPort()] = true
	}
	var err error
	if d.softnet, err = readSoftnet(); err != nil {
		return nil, err
	}
	return d, d.look()
}

// look reads the counts.
func (d *drops) look() error {
	text, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		return err
	}
	sockets, err := parseUDP(string(text))
	if err != nil {
		return err
	}
	softnet, err := readSoftnet()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.softnetDropped = softnet - d.softnet
	for _, s := range sockets {
		server := slices.Contains(d.servers, s.local)
		if !server && !d.clients[s.local] {
			continue
		}
		if d.sockets[s.inode] == nil {
			d.sockets[s.inode] = &socketDrops{server: server}
		}
		d.sockets[s.inode].most = max(d.sockets[s.inode].most, s.drops)
	}
	return nil
}

// sums are the datagrams that were dropped so far: at the server's sockets, at
// ours, and by the kernel before it looked for a socket, on the whole machine.
func (d *drops) sums() (server, client, kernel uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sockets {
		if s.server {
			server += s.most
		} else {
			client += s.most
		}
	}
	return server, client, d.softnetDropped
}

// parseUDP reads /proc/net/udp (proc_net(5)).
func parseUDP(text string) ([]udpSocket, error) {
	var out []udpSocket
	first := true
	for line := range strings.Lines(text) {
		if first { // names of columns
			first = false
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 13 {
			return nil, fmt.Errorf("/proc/net/udp: %d columns in %q, want 13", len(fields), line)
		}
		s := udpSocket{}
		var errs [3]error
		s.local, errs[0] = parseHexAddr(fields[1])
		s.inode, errs[1] = strconv.ParseUint(fields[9], 10, 64)
		s.drops, errs[2] = strconv.ParseUint(fields[12], 10, 64)
		for _, err := range errs {
			if err != nil {
				return nil, fmt.Errorf("/proc/net/udp: %q: %w", line, err)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// parseHexAddr reads an IPv4 address as the kernel prints it, in the order of a
// little-endian machine, and a port.
func parseHexAddr(text string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(text, ":")
	h, err := strconv.ParseUint(host, 16, 32)
	if err != nil {
		return netip.AddrPort{}, err
	}
	p, err := strconv.ParseUint(port, 16, 16)
	addr := netip.AddrFrom4([4]byte{byte(h), byte(h >> 8), byte(h >> 16), byte(h >> 24)})
	return netip.AddrPortFrom(addr, uint16(p)), err
}

// readSoftnet sums what the kernel dropped because a core's queue of packets was
// full: the second column of /proc/net/softnet_stat. Where there is no such file,
// nothing is excused by it.
func readSoftnet() (sum uint64, err error) {
	text, err := os.ReadFile("/proc/net/softnet_stat")
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			return 0, fmt.Errorf("/proc/net/softnet_stat: no second column in %q", line)
		}
		n, err := strconv.ParseUint(fields[1], 16, 32)
		if err != nil {
			return 0, fmt.Errorf("/proc/net/softnet_stat: %w", err)
		}
		sum += n
	}
	return sum, nil
}
