package main

import "strconv"

// lines draws the course of values.
func lines(_ *panel, o object) {
	o["type"] = "timeseries"
	d := defaults(o)
	d["min"] = 0
	d["custom"] = object{"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": false}
	o["options"] = object{
		"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
		"tooltip": object{"mode": "multi", "sort": "desc"},
	}
}

// stacked draws the course of values that add up to a whole.
func stacked(p *panel, o object) {
	lines(p, o)
	custom := defaults(o)["custom"].(object)
	custom["fillOpacity"], custom["stacking"] = 40, object{"mode": "normal", "group": "A"}
}

// number shows the value now: red from the limit on, amber if there is no limit.
func number(limit float64) func(*panel, object) {
	return func(_ *panel, o object) {
		o["type"] = "stat"
		now(o, "time_series")
		steps := []object{{"color": "green", "value": nil}}
		if limit > 0 {
			steps = append(steps, object{"color": "orange", "value": limit})
		}
		defaults(o)["thresholds"] = object{"mode": "absolute", "steps": steps}
		defaults(o)["color"] = object{"mode": "thresholds"}
		o["options"] = statOptions("auto")
	}
}

func statOptions(text string) object {
	return object{"colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "textMode": text,
		"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}}
}

// word is what a value means, and its color.
type word struct{ text, color string }

// words maps the values 0, 1 and so on.
func words(all ...word) []object {
	options := object{}
	for i, w := range all {
		options[strconv.Itoa(i)] = object{"text": w.text, "color": w.color, "index": i}
	}
	return []object{{"type": "value", "options": options}}
}

// states shows the value of each series now as a word.
func states(all ...word) func(*panel, object) {
	return func(_ *panel, o object) {
		o["type"] = "stat"
		now(o, "time_series")
		defaults(o)["mappings"] = words(all...)
		o["options"] = statOptions("value_and_name")
	}
}

// course shows as a colored band which word held when.
func course(all ...word) func(*panel, object) {
	return func(_ *panel, o object) {
		o["type"] = "state-timeline"
		d := defaults(o)
		d["mappings"] = words(all...)
		d["custom"] = object{"fillOpacity": 70, "lineWidth": 0}
		o["options"] = object{"mergeValues": true, "showValue": "auto", "alignValue": "left", "rowHeight": 0.8,
			"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": object{"mode": "single", "sort": "none"}}
	}
}

// matrix is a table with the values of one label as rows and of another as columns.
func matrix(rows, columns string, all ...word) func(*panel, object) {
	return func(_ *panel, o object) {
		o["type"] = "table"
		now(o, "table")
		if len(all) > 0 {
			defaults(o)["mappings"] = words(all...)
			defaults(o)["custom"] = object{"cellOptions": object{"type": "color-text"}}
		}
		o["options"] = object{"showHeader": true, "cellHeight": "sm"}
		o["transformations"] = []object{{"id": "groupingToMatrix", "options": object{
			"rowField": rows, "columnField": columns, "valueField": "Value", "emptyValue": "null"}}}
	}
}

// list is a table with a column for each label.
func list(_ *panel, o object) {
	o["type"] = "table"
	now(o, "table")
	o["options"] = object{"showHeader": true, "cellHeight": "sm"}
	o["transformations"] = []object{{"id": "organize", "options": object{"excludeByName": object{"Time": true}}}}
}

// heat shows how values spread over the buckets of a histogram.
func heat(_ *panel, o object) {
	o["type"] = "heatmap"
	for _, t := range o["targets"].([]object) {
		t["format"] = "heatmap"
	}
	o["options"] = object{"calculate": false, "cellGap": 1, "rowsFrame": object{"layout": "auto"},
		"color":   object{"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5, "fill": "dark-orange", "reverse": false},
		"yAxis":   object{"axisPlacement": "left", "reverse": false, "unit": defaults(o)["unit"]},
		"legend":  object{"show": true},
		"tooltip": object{"mode": "single", "yHistogram": false, "showColorScale": false},
		// Buckets without anything are left empty.
		"filterValues": object{"le": 1e-9}}
}
