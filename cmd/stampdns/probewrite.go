package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// probeReport is what probe writes.
type probeReport struct {
	Resolver string `json:"resolver"`
	// Reached says that all zones were, and where it is wanted, by both name servers.
	Reached bool `json:"reached"`
	// ZonesFrom says who named the zones: flag, api or sample.
	ZonesFrom string `json:"zones_from"`
	// API is the URL of the stamp's, empty where it is off. Joined says that the stamp
	// was told, NotJoined why not.
	API       string        `json:"api,omitempty"`
	Joined    bool          `json:"joined"`
	NotJoined string        `json:"not_joined,omitempty"`
	Zones     []*zoneReport `json:"zones"`
}

// zoneReport is what came of the probes in one zone.
type zoneReport struct {
	Zone        string      `json:"zone"`
	Reached     bool        `json:"reached"`
	Text        string      `json:"text"`
	Ways        []string    `json:"ways"`
	NameServers []string    `json:"name_servers"`
	Tries       []*probeTry `json:"tries"`
}

// both says whether more than one name server was seen.
func (z *zoneReport) both() bool {
	return slices.ContainsFunc(z.Tries, func(t *probeTry) bool {
		return t.Reached && t.NS != "" && slices.ContainsFunc(z.Tries, func(o *probeTry) bool {
			return o.Reached && o.NS != "" && o.NS != t.NS
		})
	})
}

// sumUp says in a sentence what came of the tries.
func (z *zoneReport) sumUp() {
	z.Ways, z.NameServers = []string{}, []string{}
	reached, counts := 0, map[string]int{}
	failure := ""
	for _, t := range z.Tries {
		if !t.Reached {
			failure = t.Text
			continue
		}
		reached++
		counts[t.NS]++
		if !slices.Contains(z.Ways, t.Way) {
			z.Ways = append(z.Ways, t.Way)
		}
		if t.NS != "" && !slices.Contains(z.NameServers, t.NS) {
			z.NameServers = append(z.NameServers, t.NS)
		}
	}
	if reached == 0 {
		z.Text = "not reached: " + failure
		return
	}
	slices.Sort(z.NameServers)
	var servers []string
	for _, ns := range z.NameServers {
		servers = append(servers, fmt.Sprintf("%s %d of %d", ns, counts[ns], reached))
	}
	z.Text = "reached: " + strings.Join(z.Ways, ", or ")
	if len(servers) > 0 {
		z.Text += "; " + strings.Join(servers, ", ")
	}
	if failure != "" {
		z.Text += fmt.Sprintf("; %d of %d were lost: %s", len(z.Tries)-reached, len(z.Tries), failure)
	}
}

// notes are what is strange about the tries, each once.
func (z *zoneReport) notes() []string {
	var all []string
	for _, t := range z.Tries {
		for _, n := range t.Notes {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return all
}

// writeReport writes the report, as JSON or for people.
func (p *probeFlags) writeReport(r *probeReport) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return p.write(raw, func() error { return p.writeTables(r) })
}

// writeTables writes a line for each probe, then what they come to.
func (p *probeFlags) writeTables(r *probeReport) error {
	from := map[string]string{
		"flag": "", "sample": ", for the zones of the sample stamp: --zone names others",
		"api": ", for the zones of the stamp at " + r.API,
	}[r.ZonesFrom]
	fmt.Fprintf(p.command.stdout, "asked %s%s\n\n", r.Resolver, from)
	var rows [][]string
	for _, z := range r.Zones {
		for _, t := range z.Tries {
			row := []string{bare(z.Zone), "no", t.Path, t.NS, t.Source, t.Transport, t.EDNS, t.Case, ""}
			if t.Reached {
				row[1] = "yes"
			}
			if t.answered {
				row[8] = fmt.Sprintf("%.1fms", t.Latency)
			}
			rows = append(rows, row)
		}
	}
	header := []string{"zone", "reached", "path", "ns", "seen from", "transport", "edns", "case", "latency"}
	if err := writeTable(p.command.stdout, header, rows); err != nil {
		return err
	}
	fmt.Fprintln(p.command.stdout)
	for _, z := range r.Zones {
		fmt.Fprintf(p.command.stdout, "%s: %s\n", printable(bare(z.Zone)), z.Text)
		for _, n := range z.notes() {
			fmt.Fprintf(p.command.stdout, "  note: %s\n", n)
		}
		if p.both && z.Reached && !z.both() {
			fmt.Fprintf(p.command.stdout, "  only one name server was seen in %d probes\n", len(z.Tries))
		}
	}
	if r.Joined {
		fmt.Fprintf(p.command.stdout, "joined with the server's side at %s\n", r.API)
	} else {
		fmt.Fprintf(p.command.stdout, "not joined with the server's side: %s\n", r.NotJoined)
	}
	return nil
}
