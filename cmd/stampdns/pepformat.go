package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// formatList writes a JSON object as Format-List of PowerShell does: a line for
// each member, with the colons below each other, and an empty line before and
// after. Nothing is cut off or broken to the width of a screen.
func formatList(object json.RawMessage) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.UseNumber()
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("the server answered %.20q, which is no object", object)
	}
	var members [][2]string
	width := 0
	for dec.More() {
		name, err := psName(dec)
		if err != nil {
			return nil, err
		}
		var value bytes.Buffer
		if err := writeText(&value, dec); err != nil {
			return nil, err
		}
		members = append(members, [2]string{name, value.String()})
		width = max(width, utf8.RuneCountInString(name))
	}
	var text bytes.Buffer
	text.WriteByte('\n')
	for _, m := range members {
		fmt.Fprintf(&text, "%s%s : %s\n", m[0], strings.Repeat(" ", width-utf8.RuneCountInString(m[0])), m[1])
	}
	text.WriteByte('\n')
	return text.Bytes(), nil
}

// psName reads the name of a member.
func psName(dec *json.Decoder) (string, error) {
	name, err := dec.Token()
	return printable(fmt.Sprint(name)), err
}

// writeText reads one value and writes it as PowerShell shows it: nothing for
// null, {a, b} for an array, @{a=b; c=d} for an object, and nothing for one
// without members.
func writeText(b *bytes.Buffer, dec *json.Decoder) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	switch token := token.(type) {
	case nil:
	case bool:
		b.WriteString(map[bool]string{true: "True", false: "False"}[token])
	case json.Delim:
		return writeNested(b, dec, token)
	default:
		b.WriteString(printable(fmt.Sprint(token)))
	}
	return nil
}

// writeNested does so for the rest of an array or an object.
func writeNested(b *bytes.Buffer, dec *json.Decoder, open json.Delim) error {
	before, between, after := "{", ", ", "}"
	if open == '{' {
		before, between = "@{", "; "
		if !dec.More() {
			before, after = "", ""
		}
	}
	b.WriteString(before)
	for first := true; dec.More(); first = false {
		if !first {
			b.WriteString(between)
		}
		if open == '{' {
			name, err := psName(dec)
			if err != nil {
				return err
			}
			b.WriteString(name + "=")
		}
		if err := writeText(b, dec); err != nil {
			return err
		}
	}
	b.WriteString(after)
	_, err := dec.Token()
	return err
}
