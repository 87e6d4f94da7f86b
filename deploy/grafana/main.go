// Grafana writes the dashboard, which is kept in stampdns.json. What it shows is
// in the files rows*.go, how that becomes Grafana's JSON in dashboard.go.
//
//	go run ./deploy/grafana >deploy/grafana/stampdns.json
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	e := json.NewEncoder(os.Stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(dashboard()); err != nil {
		fmt.Fprintln(os.Stderr, "grafana:", err)
		os.Exit(1)
	}
}
