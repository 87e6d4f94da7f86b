package server

import (
	"bytes"

	"github.com/coredns/caddy/caddyfile"
)

// Arguments are what stands behind each of some directives on its line, for each
// server block that has it, in their order; of several in one block it is the
// first. Imported files and environment variables are filled in.
func (c Corefile) Arguments(directives ...string) (map[string][][]string, error) {
	ready, _, err := c.prepare()
	if err != nil {
		return nil, err
	}
	blocks, err := caddyfile.Parse(c.file(), bytes.NewReader(ready.Text), nil)
	if err != nil {
		return nil, syntaxError(c.file(), err)
	}
	all := make(map[string][][]string)
	for _, b := range blocks {
		for _, directive := range directives {
			tokens := b.Tokens[directive]
			if len(tokens) == 0 {
				continue
			}
			args := []string{}
			for _, t := range tokens[1:] {
				if t.Line != tokens[0].Line || t.Text == "{" {
					break
				}
				args = append(args, t.Text)
			}
			all[directive] = append(all[directive], args)
		}
	}
	return all, nil
}

// Occurrences are what stands behind each occurrence of a directive on its line, in
// the order of the Corefile.
func (c Corefile) Occurrences(directive string) ([][]string, error) {
	ready, _, err := c.prepare()
	if err != nil {
		return nil, err
	}
	blocks, err := caddyfile.Parse(c.file(), bytes.NewReader(ready.Text), nil)
	if err != nil {
		return nil, syntaxError(c.file(), err)
	}
	all := [][]string{}
	for _, b := range blocks {
		depth, line := 0, 0
		for _, t := range b.Tokens[directive] {
			switch {
			case t.Text == "{":
				depth++
			case t.Text == "}":
				depth--
			case depth == 0 && t.Line != line && t.Text == directive:
				all, line = append(all, []string{}), t.Line
			case depth == 0 && t.Line == line:
				all[len(all)-1] = append(all[len(all)-1], t.Text)
			}
		}
	}
	return all, nil
}
