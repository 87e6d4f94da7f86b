package stamp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Info writes the stamp in the shape of AzureStackStampInformation.json, which
// Parse reads back to the same zones. It has the keys that real files are known
// to have, in their order and in PowerShell's layout; Facts stand in for values
// that have nothing to do with DNS, else made-up ones do. What the real file
// has no key for stands in the object StampDNS, which says that the file is
// synthetic.
func (s *Stamp) Info() ([]byte, error) {
	facts := make(map[string]json.RawMessage, len(s.Facts))
	for _, f := range s.Facts {
		facts[strings.ToLower(f.Key)] = f.Value
	}
	own, err := s.ownMembers()
	if err != nil {
		return nil, err
	}
	if !s.tenantFits(facts[strings.ToLower(keyTenant)]) {
		delete(facts, strings.ToLower(keyTenant))
	}
	var members []member
	written := make(map[string]bool)
	for _, m := range own {
		k := strings.ToLower(m.name)
		if v, ok := facts[k]; ok {
			m.value = v
		}
		written[k] = true
		members = append(members, m)
	}
	last := len(members) - 1
	for _, f := range s.Facts {
		if !written[strings.ToLower(f.Key)] {
			members = append(members[:last], member{name: f.Key, value: f.Value}, members[last])
			last++
		}
	}
	return layout(members)
}

// tenantFits says whether the directory's name goes with the identity system.
func (s *Stamp) tenantFits(value json.RawMessage) bool {
	list, _ := texts(value)
	return len(list) == 1 && identityOf(list[0]) == s.Identity
}

// ownMembers are the file's keys with the stamp's values, and StampDNS last.
func (s *Stamp) ownMembers() ([]member, error) {
	ns := s.NameServers()
	addr := func(n NameServer) any {
		if len(n.Addrs) == 1 {
			return n.Addrs[0]
		}
		return n.Addrs
	}
	at := func(host string) string { return "https://" + host + "." + s.External() + "/" }
	tenant := "ADFS.azurestack.local"
	if s.Identity == Entra {
		tenant = "fabrikam.onmicrosoft.com"
	}
	type object = []keyValue
	var options []string
	for _, o := range s.beyondFile() {
		options = append(options, strings.Join(o, " "))
	}
	return marshalMembers(object{
		{"HardwareOEMModel", ""},
		{"HardwareInfo", struct{}{}},
		{keyRegion, s.Region},
		{"DomainNetBIOSName", "azurestack"},
		{"DomainFQDN", "azurestack.local"},
		{"Timeserver", "198.51.100.123"},
		{"NumberOfNodes", 4},
		{"AADTenantID", "00000000-0000-4000-8000-000000000001"},
		{keyTenant, tenant},
		{keyName01, ns[0].Name},
		{keyName02, ns[1].Name},
		{keyAddr01, addr(ns[0])},
		{keyAddr02, addr(ns[1])},
		{"CloudID", "00000000-0000-4000-8000-000000000002"},
		{"CloudName", ""},
		{"EmergencyConsoleIPAddresses", []string{"198.51.100.224", "198.51.100.225", "198.51.100.226"}},
		{"DomainControllerExtIPAddresses", []string{"198.51.100.11", "198.51.100.12"}},
		{"StampVersion", "1.2301.0.0"},
		{"DeploymentID", "00000000-0000-4000-8000-000000000003"},
		{keyZone, s.External()},
		{"Timezone", "UTC"},
		{keyAdmin, struct{ AdminResourceManager, AdminPortal, AdminHosting string }{
			at("adminmanagement"), at("adminportal"), at("*.adminhosting")}},
		{keyUser, struct{ TenantResourceManager, TenantPortal, TenantHosting string }{
			at("management"), at("portal"), at("*.hosting")}},
		{keyStampDNS, struct {
			Note    string
			Options []string
		}{"synthetic: written by stampdns, not by a stamp", options}},
	})
}

type keyValue struct {
	key   string
	value any
}

func marshalMembers(list []keyValue) ([]member, error) {
	out := make([]member, len(list))
	for i, kv := range list {
		raw, err := json.Marshal(kv.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kv.key, err)
		}
		out[i] = member{name: kv.key, value: raw}
	}
	return out, nil
}

// layout writes members as an object in the layout of PowerShell 5.1: two
// blanks behind the colon, and what is inside a bracket four columns to the
// right of it.
func layout(members []member) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("{\n")
	for i, m := range members {
		key, err := json.Marshal(m.name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		head := fmt.Sprintf("    %s:  ", key)
		b.WriteString(head)
		dec := json.NewDecoder(bytes.NewReader(m.value))
		dec.UseNumber()
		if err := layoutValue(&b, dec, len(head)); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		if i < len(members)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("}\n")
	return b.Bytes(), nil
}

// layoutValue writes the next value of dec, which starts at column.
func layoutValue(b *bytes.Buffer, dec *json.Decoder, column int) error {
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	open, nested := tok.(json.Delim)
	if !nested {
		text, err := json.Marshal(tok)
		b.Write(text)
		return err
	}
	b.WriteByte(byte(open))
	for first := true; dec.More(); first = false {
		if !first {
			b.WriteByte(',')
		}
		indent(b, column+4)
		inner := column + 4
		if open == '{' {
			key, err := dec.Token()
			if err != nil {
				return err
			}
			text, err := json.Marshal(key)
			if err != nil {
				return err
			}
			b.Write(text)
			b.WriteString(":  ")
			inner += len(text) + 3
		}
		if err := layoutValue(b, dec, inner); err != nil {
			return err
		}
	}
	closing, err := dec.Token()
	if err != nil {
		return err
	}
	indent(b, column)
	_, err = fmt.Fprint(b, closing)
	return err
}

// indent starts a line at column, or as far right as is of any use.
func indent(b *bytes.Buffer, column int) {
	const most = 256
	b.WriteByte('\n')
	for range min(column, most) {
		b.WriteByte(' ')
	}
}
