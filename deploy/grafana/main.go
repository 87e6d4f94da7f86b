// Grafana writes the dashboard, which is kept in stampdns.json. What it shows is
// in the files rows*.go, how that becomes Grafana's JSON in dashboard.go and draw.go.
//
//	go run ./deploy/grafana >deploy/grafana/stampdns.json
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "grafana:", err)
		os.Exit(1)
	}
}

// write writes the dashboard as JSON.
func write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(dashboard())
}
