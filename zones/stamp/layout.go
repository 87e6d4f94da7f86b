package stamp

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Layout writes one JSON value as ConvertTo-Json of PowerShell 5.1 does: two
// blanks behind the colon, and what is inside a bracket four columns to the
// right of it. The order of the members stays. The result ends with a newline.
func Layout(value []byte) ([]byte, error) {
	if !json.Valid(value) {
		return nil, fmt.Errorf("lay out JSON: %.40q is none", value)
	}
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	var b bytes.Buffer
	if err := layoutValue(&b, dec, 0); err != nil {
		return nil, fmt.Errorf("lay out JSON: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
