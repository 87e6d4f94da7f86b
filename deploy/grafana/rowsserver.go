package main

// zones is what is served.
func zones() row {
	return row{"Zones", []panel{
		{"Serials", "Of what is served. The instances of a stamp should have the same.",
			8, 8, "none", []query{{`max by (zone, instance) (stampdns_zone_serial{@i})`, ""}}, matrix("zone", "instance")},
		{"Records", "How many records are served.",
			8, 8, counts, []query{{`max by (zone, instance) (stampdns_zone_records{@i})`, ""}}, matrix("zone", "instance")},
		{"Age", "How long ago what is served was loaded.",
			8, 8, seconds, []query{{`time() - max by (zone, instance) (stampdns_zone_load_timestamp_seconds{@i})`, ""}}, matrix("zone", "instance")},
		{"Sources", "Whether the last load worked. Where it did not, the last good zone is served, if there was one.",
			8, 8, counts, []query{{`min by (zone, instance) (stampdns_zone_last_load_successful{@i})`, ""}},
			matrix("zone", "instance", word{"broken", "red"}, word{"good", "green"})},
		{"Loads that failed", "The log says in which file and line.",
			8, 8, counts, []query{{`sum by (instance, zone) (increase(stampdns_zone_load_failed_total{@i}[@t]))`, "{{instance}} {{zone}}"}}, lines},
		{"Files of auto", "Zone files in the folders of the directive auto, by what became of them.",
			8, 8, counts, []query{{`sum by (directory, state) (stampdns_auto_files{@i})`, "{{directory}} {{state}}"}}, lines},
		{"Busiest zones", "The ten zones with most queries. Names in none of the zones count for the zone of the server block.",
			24, 8, perSecond, []query{{`topk(10, sum by (zone) (rate(stampdns_dns_requests_total{@n}[@t])))`, "{{zone}}"}}, lines},
	}}
}

// faults is what is broken on purpose.
func faults() row {
	return row{"Faults", []panel{
		{"In use", "Faults that break replies on purpose just now, and how long they do so still. Each ends by itself.",
			8, 8, seconds, []query{{`max by (instance, rule, kind) (stampdns_fault_remaining_seconds{@i} and stampdns_fault_active{@i} == 1)`, ""}}, list},
		{"Broken on purpose", "Queries, and TCP connections, that got a fault.",
			8, 8, perSecond, []query{{`sum by (rule, kind, ns) (rate(stampdns_fault_injected_total{@n}[@t]))`, "{{rule}} {{kind}} {{ns}}"}}, lines},
		{"Held back", "Replies that a fault holds back just now, and queries that were dropped since too many were.",
			8, 8, counts, []query{
				{`sum(stampdns_fault_delayed_queries{@i})`, "held back"},
				{`sum(increase(stampdns_fault_delay_dropped_total{@i}[@t]))`, "dropped"},
			}, lines},
	}}
}

// process is how the servers are.
func process() row {
	return row{"Runtime", []panel{
		{"CPU", "1 is one core.",
			6, 8, counts, []query{{`rate(process_cpu_seconds_total{@i}[@t])`, "{{instance}}"}}, lines},
		{"Memory", "Resident, and of that the heap in use.",
			6, 8, octets, []query{
				{`process_resident_memory_bytes{@i}`, "{{instance}} resident"},
				{`go_memstats_heap_inuse_bytes{@i}`, "{{instance}} heap"},
			}, lines},
		{"Goroutines and open files", "Both stay about the same under load: forwarded queries cost no goroutine.",
			6, 8, counts, []query{
				{`go_goroutines{@i}`, "{{instance}} goroutines"},
				{`process_open_fds{@i}`, "{{instance}} open files"},
			}, lines},
		{"TCP connections", "Open ones, and those that were closed to make room for new ones.",
			6, 8, counts, []query{
				{`sum by (server) (stampdns_tcp_connections{@i})`, "{{server}} open"},
				{`sum by (server) (increase(stampdns_tcp_connections_shed_total{@i}[@t]))`, "{{server}} shed"},
			}, lines},
		{"UDP in trouble", "Reads that failed, replies that the kernel did not take, and datagrams longer than any query.",
			6, 8, counts, []query{
				{`sum by (server) (increase(stampdns_udp_receive_errors_total{@i}[@t]))`, "{{server}} receive"},
				{`sum by (server) (increase(stampdns_udp_send_errors_total{@i}[@t]))`, "{{server}} send"},
				{`sum by (server) (increase(stampdns_udp_truncated_total{@i}[@t]))`, "{{server}} too long"},
			}, lines},
		{"Panics and failed reloads", "A panic is a bug: the log has the stack. A reload fails if the new configuration is wrong; the old one stays in use.",
			6, 8, counts, []query{
				{`sum by (instance) (increase(stampdns_panics_total{@i}[@t]))`, "{{instance}} panics"},
				{`sum by (instance) (increase(stampdns_reload_failed_total{@i}[@t]))`, "{{instance}} failed reloads"},
			}, lines},
		{"Journal", "Queries that the journal recorded, and those that it did not, since a busy server records one in so many.",
			6, 8, perSecond, []query{
				{`sum(rate(stampdns_journal_recorded_total{@i}[@t]))`, "recorded"},
				{`sum by (reason) (rate(stampdns_journal_skipped_total{@i}[@t]))`, "{{reason}}"},
			}, stacked},
		{"Left out", "Log lines, and messages of dnstap, that were left out since the output was slower than the queries.",
			6, 8, counts, []query{
				{`sum(increase(stampdns_log_dropped_total{@i}[@t]))`, "log"},
				{`sum by (output) (increase(stampdns_dnstap_dropped_total{@i}[@t]))`, "dnstap {{output}}"},
			}, lines},
		{"Behind a proxy", "Datagrams and connections with a sound PROXY header, and those of listed senders that were dropped without one.",
			8, 8, perSecond, []query{
				{`sum by (server) (rate(stampdns_proxy_protocol_headers_total{@i}[@t]))`, "{{server}}"},
				{`sum by (server, reason) (rate(stampdns_proxy_protocol_rejected_total{@i}[@t]))`, "{{server}} {{reason}}"},
			}, lines},
		{"Kept out by acl", "Queries that acl refused, answered empty or dropped.",
			8, 8, perSecond, []query{
				{`sum(rate(stampdns_acl_blocked_requests_total{@i}[@t]))`, "refused"},
				{`sum(rate(stampdns_acl_filtered_requests_total{@i}[@t]))`, "answered empty"},
				{`sum(rate(stampdns_acl_dropped_requests_total{@i}[@t]))`, "dropped"},
			}, lines},
		{"Versions", "What runs where.",
			8, 8, counts, []query{{`max by (instance, version, revision, goversion) (stampdns_build_info{@i})`, ""}}, list},
	}}
}
