package main

import (
	"encoding/json"
	"net/http"
)

// serveStatus has what the status page asks for, if there is one.
func (f *fakeAPI) serveStatus(mux *http.ServeMux) {
	if !f.page {
		return
	}
	mux.HandleFunc("GET /api/v1/status", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, json.RawMessage(`{"version":"1.2.3","started_at":"2026-11-20T08:00:00Z","now":"2026-11-20T09:30:02Z","ready":true,
"stamp":{"prefix":"azs","region":"east","domain":"cloud.fabrikam.com","external_zone":"east.cloud.fabrikam.com","cloudapp_zone":"east.cloudapp.cloud.fabrikam.com","name_servers":[]},
"zones":[{"name":"east.cloud.fabrikam.com","serial":1,"records":25,"loaded":true},{"name":"x.example","serial":0,"records":0,"loaded":false,"error":"x.zone:3: no\u001b[2J"}],
"endpoints":[],"resolvers":["corp"]}`))
	})
	mux.HandleFunc("GET /api/v1/history", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "minutes=1" {
			f.t.Errorf("history is asked for %s", r.URL.RawQuery)
		}
		writeJSON(w, 200, json.RawMessage(`{"step_seconds":10,"from":"2026-11-20T09:29:00Z","paths":{"iterative":[1,2]},
"rcodes":{"NXDOMAIN":[0.5,1.5,null],"NOERROR":[8,9,null],"REFUSED":[0,0,null]},"latency_us":{"p50":[20,25.5,null],"p99":[1000,null,null]}}`))
	})
}
