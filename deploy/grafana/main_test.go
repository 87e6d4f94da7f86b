package main

import (
	"bytes"
	"os"
	"testing"
)

// TestWritten says that the dashboard that is kept is the one that is written.
func TestWritten(t *testing.T) {
	kept, err := os.ReadFile("stampdns.json")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, b.Bytes()) {
		t.Error("stampdns.json is an old one: go run ./deploy/grafana >deploy/grafana/stampdns.json")
	}
}
