package main

import "strings"

// width is that of the dashboard, in columns of Grafana's grid.
const width = 24

// object is one of JSON. Its members are written in the order of their names.
type object = map[string]any

// row is a part of the dashboard under a heading.
type row struct {
	title  string
	panels []panel
}

// panel is one picture. It is as wide and as high as it says in columns and rows of
// the grid, and stands beside the one before it where there is room.
type panel struct {
	title, about  string // about is in sentences, for people
	width, height int
	unit          string // Grafana's name of it
	queries       []query
	draw          func(p *panel, o object)
}

// query is one of PromQL, in which @i, @n, @r and @rn stand for what the variables
// of the dashboard choose: instances, and of them name servers, resolvers or both.
// @t is the time that rates are taken over, as Grafana sees fit.
type query struct {
	expr   string
	legend string // {{label}} is the label's value
}

// expand puts Grafana's variables in the place of ours.
func (q query) expand() string {
	const instance, ns, resolver = `instance=~"$instance"`, `, ns=~"$ns"`, `, resolver=~"$resolver"`
	return strings.NewReplacer(
		"@rn", instance+resolver+ns, "@r", instance+resolver, "@n", instance+ns, "@i", instance,
		"@t", "$__rate_interval").Replace(q.expr)
}

// source is the data source, which a variable of the dashboard chooses.
func source() object { return object{"type": "prometheus", "uid": "${DS_PROMETHEUS}"} }

// dashboard is the whole of it.
func dashboard() object {
	return object{
		"uid":           "stampdns",
		"title":         "stampdns",
		"description":   "The DNS of a stamp: who comes to it and by which way, what it forwards, what it serves, what is broken on purpose.",
		"tags":          []string{"dns", "stampdns"},
		"schemaVersion": 39,
		"version":       1,
		"editable":      true,
		"graphTooltip":  1,
		"refresh":       "30s",
		"timezone":      "browser",
		"time":          object{"from": "now-1h", "to": "now"},
		"timepicker":    object{},
		"annotations":   object{"list": []object{}},
		"links":         []object{},
		"templating":    object{"list": variables()},
		"panels":        layout([]row{overview(), delegation(), resolvers(), forwarding(), zones(), faults(), process()}),
	}
}

// variables are the choices at the top of the dashboard.
func variables() []object {
	return []object{
		{"name": "DS_PROMETHEUS", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0,
			"refresh": 1, "regex": "", "multi": false, "includeAll": false, "current": object{}, "options": []object{}},
		// Without a value for all of them, "all" are those of stampdns: process metrics have no other mark.
		choice("instance", "Instance", "label_values(stampdns_build_info, instance)", nil),
		choice("ns", "Name server", `label_values(stampdns_dns_requests_total{instance=~"$instance"}, ns)`, ".*"),
		choice("resolver", "Resolver", `label_values(stampdns_delegation_resolver_queries_total{instance=~"$instance"}, resolver)`, ".*"),
	}
}

// choice is a variable for values of a label, several or all.
func choice(name, label, values string, all any) object {
	return object{"name": name, "label": label, "type": "query", "datasource": source(), "hide": 0,
		"definition": values, "query": object{"qryType": 1, "query": values, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
		"refresh": 2, "sort": 7, "regex": "", "multi": true, "includeAll": true, "allValue": all,
		"current": object{"selected": true, "text": []string{"All"}, "value": []string{"$__all"}}, "options": []object{}}
}

// layout gives the panels their places.
func layout(rows []row) []object {
	var all []object
	id, y := 1, 0
	place := func(o object, x, w, h int) {
		o["id"], o["gridPos"] = id, object{"x": x, "y": y, "w": w, "h": h}
		all = append(all, o)
		id++
	}
	for _, r := range rows {
		place(object{"type": "row", "title": r.title, "collapsed": false, "panels": []object{}}, 0, width, 1)
		y++
		x, high := 0, 0
		for _, p := range r.panels {
			if x+p.width > width {
				x, y, high = 0, y+high, 0
			}
			place(p.object(), x, p.width, p.height)
			x, high = x+p.width, max(high, p.height)
		}
		y += high
	}
	return all
}

// object is the panel as Grafana has it, without its place.
func (p *panel) object() object {
	var targets []object
	for i, q := range p.queries {
		targets = append(targets, object{"refId": string(rune('A' + i)), "datasource": source(), "editorMode": "code",
			"expr": q.expand(), "legendFormat": q.legend, "range": true})
	}
	o := object{"title": p.title, "description": p.about, "datasource": source(), "targets": targets,
		"fieldConfig": object{"defaults": object{"unit": p.unit}, "overrides": []object{}}}
	p.draw(p, o)
	return o
}

// defaults is where fields are described.
func defaults(o object) object { return o["fieldConfig"].(object)["defaults"].(object) }

// now has the queries ask for the value now, in the form given.
func now(o object, format string) {
	for _, t := range o["targets"].([]object) {
		t["range"], t["instant"], t["format"] = false, true, format
	}
}
