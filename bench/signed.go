//go:build linux

package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/miekg/dns"

	"github.com/stampdns/stampdns/bench/process"
)

const signedZone = "signed.example."

// signer signs a master file into another one and returns the keys.
type signer func(origin, from, to string) ([]*dns.DNSKEY, error)

// The names of a signed zone: so many in a hundred are delegations, half of them
// with DS records, and so many names have a wildcard below them.
const (
	signedCuts  = 20
	signedWilds = 100
)

// signedDS are the DS records of the children, which
// nobody follows.
const signedDS = "12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// newSigned makes a zone of so many names and has it signed, with NSEC.
func newSigned(dir string, names int, stamp []zoneFile, sign signer) (*dataset, error) {
	cuts := names * signedCuts / 100
	hostCount := names - cuts
	plain, zone := filepath.Join(dir, "plain"), zoneFile{signedZone, filepath.Join(dir, "db.signed.example")}
	err := writeZone(plain, signedZone, 1, func(w *bufio.Writer) {
		for i := range hostCount {
			fmt.Fprintf(w, "%s IN A %s\n", label(i), address(i))
		}
		for i := range signedWilds {
			fmt.Fprintf(w, "*.wild%02d IN A %s\n", i, address(i))
		}
		for i := range cuts {
			cut := signedCut(i)
			fmt.Fprintf(w, "%s IN NS ns1.%s\nns1.%s IN A %s\n", cut, cut, cut, address(i))
			if i%2 == 0 {
				fmt.Fprintf(w, "%s IN DS %s\n", cut, signedDS)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	keys, err := sign(signedZone, plain, zone.path)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", signedZone, err)
	}
	d := &dataset{name: fmt.Sprintf("signed-%d", names), stamp: stamp, user: []zoneFile{zone}}
	d.draw = func(r *rand.Rand) question {
		q := drawSigned(r, hostCount, cuts)
		q.want.keys = keys
		return q
	}
	return d, nil
}

// signedCut is the i-th delegation: those with an even number have DS records.
func signedCut(i int) string { return fmt.Sprintf("cut%05d", i) }

// drawSigned makes a question as the mix signed has them.
func drawSigned(r *rand.Rand, hostCount, cuts int) question {
	n, cut, kind := r.IntN(hostCount), r.IntN(cuts), r.IntN(100)
	owner := label(n) + "." + signedZone
	switch {
	case kind < 55:
		q := hosts(owner, address(n))
		q.want.proof = proofPositive
		return q
	case kind < 70:
		wild := n % signedWilds
		q := hosts(fmt.Sprintf("account%05d.wild%02d.%s", n, wild, signedZone), address(wild))
		q.want.proof = proofWildcard
		return q
	case kind < 78:
		q := noData(owner, signedZone)
		q.want.proof = proofNoData
		return q
	case kind < 86:
		// Between two names, so that each has an NSEC record of its own.
		q := noName(label(n)+"x."+signedZone, signedZone)
		q.want.proof = proofNoName
		return q
	}
	at := signedCut(cut) + "." + signedZone
	q := question{name: "www." + at, qtype: typeA}
	q.want.cut = []string{record(at, 3600, "NS", "ns1."+at)}
	q.want.proof = proofSecure
	if cut%2 == 1 {
		q.want.proof = proofInsecure
	}
	return q
}

// signZone signs with BIND's tools: ECDSA P-256, a key for keys and one for the
// rest, one record a line.
func signZone(origin, from, to string) ([]*dns.DNSKEY, error) {
	dir := filepath.Dir(to)
	for _, use := range [][]string{{}, {"-f", "KSK"}} {
		if err := runTool("dnssec-keygen", append(use, "-q", "-a", "ECDSAP256SHA256", "-K", dir, origin)...); err != nil {
			return nil, err
		}
	}
	err := runTool("dnssec-signzone", "-q", "-S", "-O", "full", "-K", dir, "-d", dir, "-o", origin, "-f", to, from)
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(dir, "K*.key"))
	if err != nil {
		return nil, err
	}
	var keys []*dns.DNSKEY
	for _, path := range paths {
		key, err := readKey(path)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func readKey(path string) (*dns.DNSKEY, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rr, err := dns.ReadRR(file, path)
	if err != nil {
		return nil, err
	}
	key, ok := rr.(*dns.DNSKEY)
	if !ok {
		return nil, fmt.Errorf("%s: no DNSKEY record", path)
	}
	return key, nil
}

func runTool(name string, args ...string) error {
	path, err := process.FindCommand(name)
	if err != nil {
		return fmt.Errorf("%s is not installed: run .ci/install bench, or install Debian's bind9-utils; or leave out the mix signed", name)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
