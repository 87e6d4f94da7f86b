package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"github.com/spf13/cobra"

	"github.com/stampdns/stampdns/zones"
	"github.com/stampdns/stampdns/zones/wire"
)

// zoneFormats are the ways that zone check writes what it found.
var zoneFormats = [...]string{"text", "json"}

func (c *command) zone() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "zone",
		Short: "print a zone, or check zone files",
		Example: `  stampdns zone print east.cloud.fabrikam.com
  stampdns zone check zones/db.contoso.com`,
		Args: knownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.zonePrint(), c.zoneCheck())
	return cmd
}

func (c *command) zonePrint() *cobra.Command {
	var flags stampFlags
	var file string
	cmd := &cobra.Command{
		Use:   "print ZONE",
		Short: "print a zone as a master file",
		Long: `Print one zone of a stamp, or the zone in a file, as a master file: records in
canonical order, names in full, one record a line.`,
		Example: `  stampdns zone print east.cloud.fabrikam.com
  stampdns zone print north.cloudapp.contoso.com --region north --domain contoso.com
  stampdns zone print contoso.com --file zones/db.contoso.com`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name one zone: %s ZONE", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if s, err := flags.stamp(); err == nil {
				names = []string{s.External(), s.Cloudapp()}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := wire.ParseName(args[0])
			if err != nil {
				return usagef("zone %w", err)
			}
			source, err := flags.source(name, file)
			if err != nil {
				return err
			}
			z, _, err := zones.Load(source)
			if err != nil {
				return err
			}
			return zones.Print(c.stdout, z)
		},
	}
	flags.add(c, cmd)
	cmd.Flags().StringVar(&file, "file", "", "print the zone in this master `FILE`")
	asks(cmd, "file")
	return cmd
}

// source is the zone called name: that of file, or one of the stamp's.
func (s *stampFlags) source(name wire.Name, file string) (zones.Source, error) {
	if file != "" {
		return zones.FileSource(file, name), nil
	}
	described, err := s.stamp()
	if err != nil {
		return nil, err
	}
	sources, err := described.Zones()
	if err != nil {
		return nil, err
	}
	var known []string
	for _, source := range sources {
		if string(source.Origin()) == string(name) {
			return source, nil
		}
		known = append(known, bare(source.Origin().String()))
	}
	return nil, fmt.Errorf("%s is no zone of this stamp, which has %s", bare(name.String()), strings.Join(known, " and "))
}

func (c *command) zoneCheck() *cobra.Command {
	var origin, output string
	var strict bool
	cmd := &cobra.Command{
		Use:   "check FILE…",
		Short: "check zone files",
		Long: `Check master files and print what is wrong with each, with file and line. The
file - is the standard input. Without --origin the zone is the owner of the
file's SOA record; names in it that are not absolute belong to the zone in the
file's name: db.ZONE, ZONE.zone, ZONE.db or ZONE.

The exit code is 1 if there is an error; with --strict also for a warning.`,
		Example: `  stampdns zone check zones/db.contoso.com
  stampdns zone check --strict -o json zones/*
  stampdns zone print east.cloud.fabrikam.com | stampdns zone check -`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name a file: %s FILE…", cmd.CommandPath())
			}
			if origin != "" && len(args) > 1 {
				return usagef("--origin is for one file, got %d: check them one by one", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("output", output, zoneFormats[:]); err != nil {
				return err
			}
			var name wire.Name
			if origin != "" {
				var err error
				if name, err = wire.ParseName(origin); err != nil {
					return usagef("--origin %w", err)
				}
			}
			var reports []*report
			for _, file := range args {
				reports = append(reports, c.check(file, name))
			}
			return writeReports(c.stdout, output, reports, strict)
		},
	}
	cmd.Flags().StringVar(&origin, "origin", "", "`ZONE` that the file holds")
	asks(cmd, "origin")
	cmd.Flags().BoolVar(&strict, "strict", false, "take warnings for errors")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "`FORMAT`: "+strings.Join(zoneFormats[:], ", "))
	complete(cmd, "output", zoneFormats[:]...)
	return cmd
}

// report is what check found in one file.
type report struct {
	File     string    `json:"file"`
	Zone     string    `json:"zone"` // empty where nothing says which it is
	Records  int       `json:"records"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Findings []finding `json:"findings"`
}

type finding struct {
	File     string `json:"file"`
	Line     int    `json:"line,omitempty"`
	Severity string `json:"severity"`
	Code     string `json:"code"`
	Text     string `json:"text"`
}

// check reads one file, or stdin for "-", and lints the zone in it: origin, or
// without one what the file says. What is wrong is in the report, also where
// the file can't be read: other files may be left to check.
func (c *command) check(file string, origin wire.Name) *report {
	r := &report{File: file, Findings: []finding{}}
	open := func(origin wire.Name) zones.Source { return zones.FileSource(file, origin) }
	guess := zoneOfFile(file)
	if file == "-" {
		text, err := io.ReadAll(c.stdin)
		r.File, guess = "stdin", "."
		if err != nil {
			r.fail(err)
			return r
		}
		open = func(origin wire.Name) zones.Source { return zones.TextSource(r.File, text, origin) }
	}
	if origin == nil {
		var err error
		if origin, err = findOrigin(open, guess); err != nil {
			r.fail(err)
			return r
		}
	}
	r.Zone = origin.String()
	b, err := zones.Collect(open(origin))
	if err != nil {
		r.fail(err)
		return r
	}
	r.Records = b.Len()
	for _, f := range b.Check() {
		r.add(&f)
	}
	return r
}

// fail adds what kept the file from being read.
func (r *report) fail(err error) {
	var several *zones.LoadError
	var one *zones.Finding
	switch {
	case errors.As(err, &several):
		for i := range several.Findings {
			r.add(&several.Findings[i])
		}
	case errors.As(err, &one):
		r.add(one)
	default:
		r.add(&zones.Finding{Severity: zones.Error, Code: "file", Text: strings.TrimPrefix(err.Error(), r.File+": ")})
	}
}

func (r *report) add(f *zones.Finding) {
	place := f.Pos.File
	if place == "" {
		place = r.File
	}
	if f.Severity == zones.Error {
		r.Errors++
	} else {
		r.Warnings++
	}
	r.Findings = append(r.Findings, finding{place, f.Pos.Line, f.Severity.String(), f.Code, f.Text})
}

// zoneOfFile is the zone that a file's name speaks of.
func zoneOfFile(file string) string {
	name := strings.TrimPrefix(filepath.Base(file), "db.")
	for _, end := range []string{".zone", ".db"} {
		name = strings.TrimSuffix(name, end)
	}
	return name
}

var errNoOrigin = errors.New("which zone is this? give --origin ZONE")

// findOrigin is the owner of the first SOA record, names being relative to the
// zone called guess. Where the file has none, or breaks before it, it is guess,
// unless that is the root: then nothing says which zone it is.
func findOrigin(open func(wire.Name) zones.Source, guess string) (wire.Name, error) {
	origin, err := wire.ParseName(guess)
	if err != nil {
		return nil, errNoOrigin
	}
	errFound := errors.New("found")
	err = open(origin).Records(func(r zones.Record) error {
		if r.Type != dns.TypeSOA {
			return nil
		}
		origin = slices.Clone(r.Owner)
		wire.Lower(origin)
		return errFound
	})
	switch {
	case guess != "." || origin.Labels() > 0:
		// What breaks the file before its SOA is found again when it is checked.
		return origin, nil
	case err != nil && !errors.Is(err, errFound):
		return nil, err
	}
	return nil, errNoOrigin
}

// writeReports writes all reports; the error says that there was something to
// find fault with.
func writeReports(w io.Writer, format string, reports []*report, strict bool) error {
	failed := false
	for _, r := range reports {
		failed = failed || r.Errors > 0 || strict && r.Warnings > 0
	}
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(reports); err != nil {
			return err
		}
	} else {
		for _, r := range reports {
			if err := r.write(w); err != nil {
				return err
			}
		}
	}
	if failed {
		return silentError{}
	}
	return nil
}

// write writes a line for each finding and one for the zone.
func (r *report) write(w io.Writer) error {
	var text strings.Builder
	for _, f := range r.Findings {
		place := f.File
		if f.Line > 0 {
			place = fmt.Sprintf("%s:%d", f.File, f.Line)
		}
		fmt.Fprintf(&text, "%s: %s: %s\n", place, f.Severity, f.Text)
	}
	verdict := "ok"
	if len(r.Findings) > 0 {
		verdict = count(r.Errors, "error") + ", " + count(r.Warnings, "warning")
	}
	zone := "no zone"
	if r.Zone != "" {
		zone = "zone " + r.Zone
	}
	fmt.Fprintf(&text, "%s: %s: %s: %s\n", r.File, zone, count(r.Records, "record"), verdict)
	_, err := io.WriteString(w, text.String())
	return err
}

// count is a number and what it counts.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
