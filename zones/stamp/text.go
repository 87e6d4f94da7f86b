package stamp

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
)

// FileError is a fault in a stamp file.
type FileError struct {
	Path string // empty if the data came from no file
	Line int    // 0 if the fault is in no one place
	Err  error
}

// Error is FILE:LINE: what.
func (e *FileError) Error() string {
	switch {
	case e.Path != "" && e.Line > 0:
		return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err)
	case e.Path != "":
		return fmt.Sprintf("%s: %v", e.Path, e.Err)
	case e.Line > 0:
		return fmt.Sprintf("line %d: %v", e.Line, e.Err)
	}
	return e.Err.Error()
}

// Unwrap gives the fault without its place.
func (e *FileError) Unwrap() error { return e.Err }

// toUTF8 turns the encodings that PowerShell writes into UTF-8 without a byte
// order mark: UTF-8, and UTF-16 of either order. Where UTF-16 has no mark, the
// zero octet beside JSON's first character tells.
func toUTF8(data []byte) ([]byte, error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xEF, 0xBB, 0xBF}):
		return data[3:], nil
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}):
		order, data = binary.LittleEndian, data[2:]
	case bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		order, data = binary.BigEndian, data[2:]
	case len(data) > 1 && data[0] != 0 && data[1] == 0:
		order = binary.LittleEndian
	case len(data) > 1 && data[0] == 0 && data[1] != 0:
		order = binary.BigEndian
	default:
		return data, nil
	}
	if len(data)%2 != 0 {
		return nil, errors.New("the UTF-16 text ends within a character: copy the file again")
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	return []byte(string(utf16.Decode(units))), nil
}

// member is one member of a JSON object.
type member struct {
	name  string
	line  int // of its value
	value json.RawMessage
}

// parseObject reads the members of the JSON object in text, in order. One
// object alone in an array is taken for the object.
func parseObject(text []byte) ([]member, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, &FileError{Err: errors.New("the file is empty")}
	}
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		line := 1 + bytes.Count(text, []byte{'\n'})
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			line = lineAt(text, syntax.Offset-1)
		}
		return nil, &FileError{Line: line, Err: fmt.Errorf("this is no JSON: %w", err)}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	start, _ := dec.Token()
	array := start == json.Delim('[')
	if array {
		start, _ = dec.Token()
	}
	if start != json.Delim('{') {
		return nil, &FileError{Line: 1, Err: errors.New("want a JSON object with the stamp's keys, as Get-AzureStackStampInformation gives it")}
	}
	var members []member
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, &FileError{Err: err}
		}
		m := member{name: key.(string)}
		if err := dec.Decode(&m.value); err != nil {
			return nil, &FileError{Err: err}
		}
		m.line = lineAt(text, dec.InputOffset()-int64(len(m.value)))
		members = append(members, m)
	}
	dec.Token()
	if array && dec.More() {
		return nil, &FileError{Line: lineAt(text, dec.InputOffset()), Err: errors.New("these are several stamps: keep the object of one")}
	}
	return members, nil
}

func lineAt(text []byte, offset int64) int {
	offset = min(max(0, offset), int64(len(text)))
	return 1 + bytes.Count(text[:offset], []byte{'\n'})
}

// texts reads a JSON value that should be an array of strings; PowerShell
// unwraps arrays of one, and writes null or "" for what is not there.
func texts(value json.RawMessage) (list []string, ok bool) {
	if json.Unmarshal(value, &list) != nil {
		var one string
		if json.Unmarshal(value, &one) != nil {
			return nil, false
		}
		list = []string{one}
	}
	var out []string
	for _, v := range list {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out, true
}

// properties reads a JSON object with text values, or the string that stands in
// its place below ConvertTo-Json's depth: "@{Name=value; Name=value}". Values
// that are no text are left out; other JSON gives nothing.
func properties(value json.RawMessage) map[string]string {
	out := make(map[string]string)
	var object map[string]any
	if json.Unmarshal(value, &object) == nil {
		for k, v := range object {
			if s, ok := v.(string); ok {
				out[k] = s
			}
		}
		return out
	}
	list, ok := texts(value)
	if !ok || len(list) != 1 {
		return out
	}
	inner, ok := strings.CutPrefix(list[0], "@{")
	if !ok {
		return out
	}
	for field := range strings.SplitSeq(strings.TrimSuffix(inner, "}"), ";") {
		if k, v, ok := strings.Cut(field, "="); ok {
			out[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	return out
}
