package main

import (
	"fmt"
	"net/http"
	"strings"
)

// serveFaults has the faults: the Corefile's, and those that are added.
func (f *fakeAPI) serveFaults(mux *http.ServeMux) {
	fault := func(id, rule, source string) map[string]any {
		return map[string]any{
			"id": id, "rule": rule, "kind": strings.Fields(rule)[0], "source": source, "lasts": f.lasts || source == "corefile",
			"enabled": true, "started_at": "2026-01-02T15:04:05Z", "ends_at": "2026-01-02T15:14:05Z", "remaining_seconds": 599.7, "hits": 0,
		}
	}
	mux.HandleFunc("GET /api/v1/faults", func(w http.ResponseWriter, _ *http.Request) {
		mine := fault("mine", "drop name never.example.org for 10m as mine", "corefile")
		mine["remaining_count"], mine["hits"], mine["enabled"] = 3, 2, false
		writeJSON(w, 200, map[string]any{"faults": append(append([]map[string]any{}, f.faults...), mine), "ended": []any{}})
	})
	mux.HandleFunc("POST /api/v1/faults", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Rule string   `json:"rule"`
			Kind string   `json:"kind"`
			NS   []string `json:"ns"`
			For  string   `json:"for"`
		}
		if !f.readBody(w, r, &body) {
			return
		}
		if body.Rule == "" {
			body.Rule = body.Kind + " ns " + strings.Join(body.NS, " ") + " for " + body.For
		}
		if strings.HasPrefix(body.Rule, "servfial") {
			writeJSON(w, 400, apiError(`unknown kind of fault "servfial"; did you mean "servfail"?`))
			return
		}
		added := fault(fmt.Sprintf("f%d", len(f.faults)+1), body.Rule, "runtime")
		f.faults = append(f.faults, added)
		writeJSON(w, 201, added)
	})
	mux.HandleFunc("PATCH /api/v1/faults/{name}", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Enabled *bool `json:"enabled"`
		}
		if f.readBody(w, r, &body) && body.Enabled != nil {
			writeJSON(w, 200, fault(r.PathValue("name"), "drop", "corefile"))
		}
	})
	mux.HandleFunc("DELETE /api/v1/faults/{name}", func(w http.ResponseWriter, r *http.Request) {
		if name := r.PathValue("name"); name == "none" {
			writeJSON(w, 404, apiError("there is no fault none: stampdns fault list shows those there are"))
			return
		}
		w.WriteHeader(204)
	})
	mux.HandleFunc("DELETE /api/v1/faults", func(w http.ResponseWriter, _ *http.Request) {
		names := []any{}
		for _, added := range f.faults {
			names = append(names, added["id"])
		}
		f.faults = nil
		writeJSON(w, 200, map[string]any{"cleared": names})
	})
}
