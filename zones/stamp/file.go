package stamp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"sort"
	"strings"
)

// MaxFile is the most octets that a stamp file may have. Real ones have some
// tens of thousands.
const MaxFile = 4 << 20

// The keys of the stamp file that say something about DNS, and our own one.
const (
	keyRegion   = "RegionName"
	keyZone     = "ExternalDomainFQDN"
	keyName01   = "ExternalDNSFQDN01"
	keyName02   = "ExternalDNSFQDN02"
	keyAddr01   = "ExternalDNSIPAddress01"
	keyAddr02   = "ExternalDNSIPAddress02"
	keyTenant   = "AADTenantName"
	keyAdmin    = "AdminExternalEndpoints"
	keyUser     = "TenantExternalEndpoints"
	keyStampDNS = "StampDNS"
)

// Fact is a key of a stamp file and its JSON value.
type Fact struct {
	Key   string
	Value json.RawMessage
}

// ReadFile reads a stamp file, as Parse does. Errors start with the path.
func ReadFile(path string) (s Stamp, warnings []string, err error) {
	data, err := Contents(path)
	if err != nil {
		return Stamp{}, nil, err
	}
	s, warnings, err = Parse(data)
	if fault := (*FileError)(nil); errors.As(err, &fault) {
		fault.Path = path
	}
	return s, warnings, err
}

// Contents reads the octets of a stamp file for Parse: MaxFile and one at most.
// All errors are a *FileError.
func Contents(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, unreadable(path, err)
	}
	return data, nil
}

// unreadable says once what the path is, and what it should be.
func unreadable(path string, err error) error {
	hint := ""
	if errors.Is(err, fs.ErrNotExist) {
		hint = ": give the path of an AzureStackStampInformation.json (stampdns stampinfo writes one)"
	}
	if fault := (*fs.PathError)(nil); errors.As(err, &fault) {
		err = fault.Err
	}
	return &FileError{Path: path, Err: fmt.Errorf("%w%s", err, hint)}
}

// Parse reads an AzureStackStampInformation.json, or what the cmdlet
// Get-AzureStackStampInformation gives when piped to ConvertTo-Json, in any of
// the shapes in which PowerShell leaves it: see the README of plugin stamp.
//
// What the file does not say has its default, VIPs among them: no key of the
// file gives those. Warnings are what looks wrong and does no harm. All errors
// are a *FileError. The Stamp may still fail Validate.
func Parse(data []byte) (s Stamp, warnings []string, err error) {
	if len(data) > MaxFile {
		return Stamp{}, nil, &FileError{Err: fmt.Errorf("larger than %d MiB: this is no stamp file", MaxFile>>20)}
	}
	text, err := toUTF8(data)
	if err != nil {
		return Stamp{}, nil, &FileError{Err: err}
	}
	members, err := parseObject(text)
	if err != nil {
		return Stamp{}, nil, err
	}
	f := file{keys: make(map[string]member, len(members))}
	s, err = f.read(members)
	if err != nil {
		return Stamp{}, nil, err
	}
	return s, f.warnings, nil
}

// file is a stamp file being read.
type file struct {
	keys     map[string]member // by key in lower case, as PowerShell compares
	warnings []string
}

func (f *file) read(members []member) (Stamp, error) {
	for _, m := range members {
		k := strings.ToLower(m.name)
		if old, ok := f.keys[k]; ok {
			return Stamp{}, &FileError{Line: m.line, Err: fmt.Errorf("%s stands in line %d already: keep one", m.name, old.line)}
		}
		f.keys[k] = m
	}
	if err := f.missing(keyRegion, keyZone, keyName01, keyName02, keyAddr01, keyAddr02); err != nil {
		return Stamp{}, err
	}
	s := Default()
	for _, step := range []func(*Stamp) error{f.names, f.addresses, f.identity, f.ours} {
		if err := step(&s); err != nil {
			return Stamp{}, err
		}
	}
	f.endpoints(&s)
	f.warnings = append(f.warnings, s.Warnings()...)
	s.Facts = facts(members)
	return s, nil
}

// missing names all keys that are not there, or empty, at once.
func (f *file) missing(keys ...string) error {
	var absent []string
	for _, k := range keys {
		m, ok := f.keys[strings.ToLower(k)]
		if list, isText := texts(m.value); !ok || isText && len(list) == 0 {
			absent = append(absent, k)
		}
	}
	switch {
	case len(absent) == 0:
		return nil
	case len(absent) == len(keys):
		return &FileError{Err: fmt.Errorf("this is no stamp file: it has none of %s", strings.Join(keys, ", "))}
	}
	return &FileError{Err: fmt.Errorf("missing %s: fetch the file again, or add what is missing by hand", strings.Join(absent, ", "))}
}

// errf is an error at the value of key.
func (f *file) errf(key, format string, args ...any) error {
	return &FileError{Line: f.keys[strings.ToLower(key)].line, Err: fmt.Errorf(key+" "+format, args...)}
}

// text is the one text value of key, without dots or slashes at its end.
func (f *file) text(key string) (string, error) {
	list, ok := texts(f.keys[strings.ToLower(key)].value)
	if !ok || len(list) != 1 {
		return "", f.errf(key, "is not one text: write it as %q: \"…\"", key)
	}
	return strings.TrimRight(list[0], "./"), nil
}

// names reads region, domain and prefix. Whether ExternalDomainFQDN has the
// region in it already is told by the name servers, which lie in the zone.
func (f *file) names(s *Stamp) error {
	var v [4]string
	for i, k := range []string{keyRegion, keyZone, keyName01, keyName02} {
		var err error
		if v[i], err = f.text(k); err != nil {
			return err
		}
		if _, err := netip.ParseAddr(v[i]); err == nil {
			return f.errf(k, "is the address %s: write a name", v[i])
		}
	}
	region, given := strings.ToLower(v[0]), strings.ToLower(v[1])
	if err := checkLabel(region); err != nil {
		return f.errf(keyRegion, "%q: %w", v[0], err)
	}
	prefix, zone, err := f.nameServer(keyName01, v[2], "-ns01")
	if err != nil {
		return err
	}
	prefix02, zone02, err := f.nameServer(keyName02, v[3], "-ns02")
	if err != nil {
		return err
	}
	if !strings.EqualFold(prefix, prefix02) || zone != zone02 {
		return f.errf(keyName02, "is %s, which does not go with %s: write %s-ns02.%s", v[3], v[2], prefix, zone)
	}
	if zone != given && zone != region+"."+given {
		if given == region+"."+zone {
			return f.errf(keyZone, "is %s, with the region twice: write %s", v[1], zone)
		}
		return f.errf(keyZone, "is %s, but the name servers lie in %s: the file contradicts itself; write %s", v[1], zone, zone)
	}
	domain, ok := strings.CutPrefix(zone, region+".")
	if !ok {
		return f.errf(keyZone, "is %s, which does not start with the region %s: write %s.%s, or correct %s",
			v[1], region, region, given, keyRegion)
	}
	if err := checkDomain(domain); err != nil {
		return f.errf(keyZone, "%q: %w", v[1], err)
	}
	s.Prefix, s.Region, s.Domain = prefix, region, domain
	return nil
}

// nameServer takes a name server's name apart: the naming prefix is what stands
// before the last suffix ("-ns01") of its first label.
func (f *file) nameServer(key, name, suffix string) (prefix, zone string, err error) {
	first, zone, _ := strings.Cut(name, ".")
	at := len(first) - len(suffix)
	if at < 1 || !strings.EqualFold(first[at:], suffix) || zone == "" {
		return "", "", f.errf(key, "is %q: want the full name <prefix>%s.<region>.<external domain>", name, suffix)
	}
	if err := checkLabel(first); err != nil {
		return "", "", f.errf(key, "%q: %w", first, err)
	}
	return first[:at], strings.ToLower(zone), nil
}

func (f *file) addresses(s *Stamp) error {
	for _, k := range []struct {
		key string
		to  *[]netip.Addr
	}{{keyAddr01, &s.NS01}, {keyAddr02, &s.NS02}} {
		list, ok := texts(f.keys[strings.ToLower(k.key)].value)
		if !ok {
			return f.errf(k.key, "is not text: write %q: \"ADDRESS\"", k.key)
		}
		var addrs []netip.Addr
		for _, v := range list {
			a, err := netip.ParseAddr(v)
			if err != nil {
				return f.errf(k.key, "is %q, which is no IP address: write the address of that name server, such as 192.0.2.11", v)
			}
			addrs = append(addrs, a.Unmap())
		}
		if err := checkAddrs(addrs); err != nil {
			return f.errf(k.key, "cannot be used: %w", err)
		}
		*k.to = addrs
	}
	return nil
}

// identity tells AD FS from Entra by the directory's name, which on an AD FS
// stamp is "ADFS." and the internal domain.
func (f *file) identity(s *Stamp) error {
	list, _ := texts(f.keys[strings.ToLower(keyTenant)].value)
	if len(list) == 1 {
		s.Identity = identityOf(list[0])
	}
	return nil
}

func identityOf(tenant string) Identity {
	if first, _, _ := strings.Cut(tenant, "."); strings.EqualFold(first, "ADFS") {
		return ADFS
	}
	return Entra
}

// ours reads the options that Info added to the file.
func (f *file) ours(s *Stamp) error {
	m, ok := f.keys[strings.ToLower(keyStampDNS)]
	if !ok {
		return nil
	}
	var dns struct{ Options []string }
	if err := json.Unmarshal(m.value, &dns); err != nil {
		return f.errf(keyStampDNS, "is not as stampdns writes it: %w", err)
	}
	change := Change(s)
	for _, line := range dns.Options {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if err := change.Set(fields[0], fields[1:]...); err != nil {
			return f.errf(keyStampDNS, "has a wrong option: %w", err)
		}
	}
	return nil
}

// endpoints warns about endpoint addresses that belong to another stamp.
func (f *file) endpoints(s *Stamp) {
	for _, key := range []string{keyAdmin, keyUser} {
		var foreign []string
		for name, v := range properties(f.keys[strings.ToLower(key)].value) {
			u, err := url.Parse(v)
			if err != nil || u.Hostname() == "" {
				continue
			}
			host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
			if !strings.HasSuffix(host, "."+s.External()) {
				foreign = append(foreign, fmt.Sprintf("%s: %s is at %s, which does not lie in %s", key, name, host, s.External()))
			}
		}
		sort.Strings(foreign)
		f.warnings = append(f.warnings, foreign...)
	}
}

// facts keeps the members that are neither about DNS nor put on by PowerShell
// remoting.
func facts(members []member) []Fact {
	var out []Fact
	for _, m := range members {
		switch strings.ToLower(m.name) {
		case "pscomputername", "runspaceid", "psshowcomputername":
		case strings.ToLower(keyRegion), strings.ToLower(keyZone), strings.ToLower(keyName01), strings.ToLower(keyName02),
			strings.ToLower(keyAddr01), strings.ToLower(keyAddr02), strings.ToLower(keyAdmin), strings.ToLower(keyUser),
			strings.ToLower(keyStampDNS):
		default:
			out = append(out, Fact{m.name, m.value})
		}
	}
	return out
}
