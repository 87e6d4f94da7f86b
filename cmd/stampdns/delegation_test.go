package main

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"testing"
)

// observedExample is the example of the API's document, and a finding that holds
// what a terminal could take for an order.
//
//go:embed testdata/delegation.json
var observedExample string

func (f *fakeAPI) delegation(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, 200, json.RawMessage(observedExample))
}

// TestFails says which findings make the verb fail.
func TestFails(t *testing.T) {
	for _, tc := range []struct {
		found, level string
		want         bool
	}{
		{"", "info", false}, {"info", "none", false}, {"info", "info", true}, {"info", "warning", false},
		{"warning", "none", false}, {"warning", "info", true}, {"warning", "warning", true},
	} {
		var o observed
		if tc.found != "" {
			o.Findings = []observedFinding{{Level: tc.found}}
		}
		if got := o.fails(tc.level); got != tc.want {
			t.Errorf("%q with --fail-on %s: %v", tc.found, tc.level, got)
		}
	}
}
