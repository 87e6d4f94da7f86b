package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (c *command) man() *cobra.Command {
	var readmes string
	cmd := &cobra.Command{
		Use:     "man DIR",
		Short:   "write the man pages",
		Long:    `Write a man page for each verb (section 1) and for each plugin (section 7, from its README) to DIR.`,
		Example: "  stampdns man --plugins plugins build/man",
		Hidden:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name the folder to write to: stampdns %s", cmd.Use)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			pages, err := manPages(cmd.Root(), readmes)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			for name, markdown := range pages {
				if err := os.WriteFile(filepath.Join(args[0], name), roff(markdown), 0o644); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintf(c.stdout, "%d man pages in %s\n", len(pages), args[0])
			return err
		},
	}
	cmd.Flags().StringVar(&readmes, "plugins", "plugins", "`DIR` with a folder for each plugin and its README.md")
	return cmd
}

// manPages are the pages in Markdown by their file names.
func manPages(root *cobra.Command, readmes string) (map[string]string, error) {
	pages := map[string]string{}
	files, err := filepath.Glob(filepath.Join(readmes, "*", "README.md"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no plugin's README.md below %s: name the folder with --plugins", readmes)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name := "stampdns-" + filepath.Base(filepath.Dir(file))
		pages[name+".7"] = pluginPage(name, string(text))
	}
	plugins := slices.Sorted(maps.Keys(pages))
	for _, cmd := range commands(root) {
		if cmd == root || cmd.IsAvailableCommand() {
			pages[pageName(cmd)+".1"] = verbPage(cmd, plugins)
		}
	}
	return pages, nil
}

// pageName is the name of a command's page, without the section.
func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// longCell is how many characters a cell of a table may have on one line.
const longCell = 16

// roff renders a page. The cells of its tables become text blocks, which tbl(1)
// breaks into lines: a plain cell is as wide as its text, whatever the screen is.
// Names in them are neither spread nor hyphenated.
func roff(markdown string) []byte {
	var out strings.Builder
	table := false
	for line := range strings.Lines(string(md2man.Render([]byte(markdown)))) {
		switch {
		case strings.HasPrefix(line, ".TS"):
			table = true
		case strings.HasPrefix(line, ".TE"):
			table = false
		case table && strings.Contains(line, "\t"):
			cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			for i, cell := range cells {
				if len(cell) > longCell {
					cells[i] = "T{\n.ad l\n.nh\n" + cell + "\nT}"
				}
			}
			line = strings.Join(cells, "\t") + "\n"
		}
		out.WriteString(line)
	}
	return []byte(out.String())
}

// verbPage is the man page of one command; plugins are the files of the pages of
// the plugins.
func verbPage(cmd *cobra.Command, plugins []string) string {
	var page strings.Builder
	name := pageName(cmd)
	section := func(title, text string) {
		if text != "" {
			fmt.Fprintf(&page, "# %s\n\n%s\n\n", title, strings.TrimRight(text, "\n"))
		}
	}
	page.WriteString(manTitle(name, 1))
	section("NAME", name+" - "+cmd.Short)
	if cmd.HasAvailableSubCommands() {
		section("SYNOPSIS", "**"+cmd.CommandPath()+" VERB** …")
	} else {
		section("SYNOPSIS", "**"+cmd.UseLine()+"**")
	}
	text := cmd.Long
	if text == "" {
		text = cmd.Short
	}
	section("DESCRIPTION", text)
	section("VERBS", verbList(cmd))
	section("OPTIONS", optionList(cmd))
	if cmd.Example != "" {
		section("EXAMPLES", "```\n"+strings.ReplaceAll(cmd.Example, "  stampdns", "stampdns")+"\n```")
	}
	section("EXIT STATUS", "0 when it worked, 1 when it did not, 2 when the command line or the environment is wrong.")
	var also []string
	for _, other := range commands(cmd.Root()) {
		if other != cmd && (other == cmd.Root() || other.IsAvailableCommand()) {
			also = append(also, "**"+pageName(other)+"**(1)")
		}
	}
	// Who serves writes Corefiles, whose directives have these pages.
	if cmd == cmd.Root() || cmd.Name() == "serve" {
		for _, file := range plugins {
			also = append(also, "**"+strings.TrimSuffix(file, ".7")+"**(7)")
		}
	}
	section("SEE ALSO", strings.Join(also, ", "))
	return page.String()
}

// verbList describes the verbs right below a command.
func verbList(cmd *cobra.Command) string {
	var list strings.Builder
	for _, verb := range cmd.Commands() {
		if verb.IsAvailableCommand() {
			fmt.Fprintf(&list, "**%s**\n: %s\n\n", verb.Name(), verb.Short)
		}
	}
	return list.String()
}

// optionList describes the flags of a command and their variables.
func optionList(cmd *cobra.Command) string {
	var list strings.Builder
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		value, usage := pflag.UnquoteUsage(f)
		if f.Hidden || !isOption(f) {
			return
		}
		fmt.Fprintf(&list, "**--%s**", f.Name)
		if f.Shorthand != "" {
			fmt.Fprintf(&list, ", **-%s**", f.Shorthand)
		}
		if value != "" {
			fmt.Fprintf(&list, " *%s*", value)
		}
		fmt.Fprintf(&list, "\n: %s.", usage)
		if isVariable(f) {
			fmt.Fprintf(&list, " Environment: %s.", envName(f.Name))
		}
		if f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "false" {
			fmt.Fprintf(&list, " Default: %s.", f.DefValue)
		}
		list.WriteString("\n\n")
	})
	return list.String()
}

// pluginPage is the man page of a plugin: its README under a title of its own,
// the headings one level up as man pages have them.
func pluginPage(name, readme string) string {
	var page strings.Builder
	page.WriteString(manTitle(name, 7))
	code, titled := false, false
	for line := range strings.Lines(readme) {
		if strings.HasPrefix(line, "```") {
			code = !code
			if code {
				line = "```\n"
			}
		}
		heading := !code && strings.HasPrefix(line, "#")
		switch {
		case heading && strings.HasPrefix(line, "# ") && !titled:
			titled = true
			continue
		case heading:
			line = strings.ToUpper(strings.TrimPrefix(line, "#"))
		}
		page.WriteString(line)
	}
	return page.String()
}

// manTitle is the title block that md2man reads.
func manTitle(name string, section int) string {
	return fmt.Sprintf("%% \"%s\" \"%d\" \"\" \"stampdns %s\" \"stampdns\"\n", strings.ToUpper(name), section, thisBuild().version)
}
