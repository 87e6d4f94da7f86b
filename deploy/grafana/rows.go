package main

// Units, as Grafana calls them.
const (
	perSecond = "reqps"
	seconds   = "s"
	octets    = "bytes"
	counts    = "short"
	ratio     = "percentunit"
)

// overview is whether all is well.
func overview() row {
	return row{"Overview", []panel{
		{"Up", "Whether Prometheus gets metrics from the instances. Down is a server that has ended, or that cannot be reached from Prometheus.",
			5, 4, counts, []query{{`up{@i} and on (job) present_over_time(stampdns_build_info[1d])`, "{{instance}}"}},
			states(word{"down", "red"}, word{"up", "green"})},
		{"Ready", "Whether an instance serves all its zones. The names of a zone that was never loaded are answered with SERVFAIL.",
			5, 4, counts, []query{{`min by (instance) (stampdns_zone_loaded{@i})`, "{{instance}}"}},
			states(word{"zone missing", "red"}, word{"ready", "green"})},
		{"Queries per second", "All queries that were answered or dropped.",
			4, 4, perSecond, []query{{`sum(rate(stampdns_dns_requests_total{@n}[@t]))`, ""}}, number(0)},
		{"Alerts", "How many of the rules of deploy/prometheus fire, where this Prometheus has them.",
			3, 4, counts, []query{{`count(ALERTS{alertname=~"Stampdns.+", alertstate="firing"}) or vector(0)`, ""}}, number(1)},
		{"Faults in use", "Rules of the directive fault that break replies on purpose just now.",
			3, 4, counts, []query{{`sum(stampdns_fault_active{@i}) or vector(0)`, ""}}, number(1)},
		{"Different senders", "Sources of queries since the start: IPv4 addresses and IPv6 networks of 64 bits. Above 128 it is an estimate.",
			4, 4, counts, []query{{`max by (ns) (stampdns_delegation_resolvers_seen{@n})`, "{{ns}}"}}, number(0)},
		{"Queries by path", "By which way queries seem to have come. Iterative: a delegation or a stub zone. Forwarded: a resolver that forwards. Direct: somebody who asks without a resolver between.",
			8, 8, perSecond, []query{{`sum by (path) (rate(stampdns_delegation_queries_total{@n}[@t]))`, "{{path}}"}}, stacked},
		{"Replies by response code", "NXDOMAIN is usual. SERVFAIL says that a zone, a forwarder or a handler failed. REFUSED is a name that the server has nothing to do with, or a client that acl does not want.",
			8, 8, perSecond, []query{{`sum by (rcode) (rate(stampdns_dns_responses_total{@n}[@t]))`, "{{rcode}}"}}, stacked},
		{"Time to reply", "From reading a query to its reply. Answers from zones and cache take microseconds; what is slower was forwarded or held back by a fault.",
			8, 8, seconds, []query{
				{`histogram_quantile(0.5, sum by (le) (rate(stampdns_dns_request_duration_seconds_bucket{@n}[@t])))`, "half are faster"},
				{`histogram_quantile(0.99, sum by (le) (rate(stampdns_dns_request_duration_seconds_bucket{@n}[@t])))`, "99% are faster"},
			}, lines},
		{"Queries by name server", "A name server that stays at zero while the other is asked is missing from a delegation, or cannot be reached.",
			8, 8, perSecond, []query{{`sum by (ns, proto) (rate(stampdns_dns_requests_total{@n}[@t]))`, "{{ns}} {{proto}}"}}, stacked},
		{"Queries by type", "What is asked for.",
			8, 8, perSecond, []query{{`sum by (type) (rate(stampdns_dns_requests_total{@n}[@t]))`, "{{type}}"}}, stacked},
		{"Queries without a reply", "Dropped: broken packets, what acl drops, and what a fault swallows on purpose.",
			8, 8, perSecond, []query{{`clamp_min(sum(rate(stampdns_dns_requests_total{@n}[@t])) - sum(rate(stampdns_dns_responses_total{@n}[@t])), 0)`, "dropped"}}, lines},
	}}
}

// forwarding is what happens to names that are not the stamp's.
func forwarding() row {
	return row{"Forwarding", []panel{
		{"State of forwarders", "Up answers, suspect missed something, refusing answers REFUSED, down does not answer, unknown was not asked yet.",
			12, 8, counts, []query{{`max by (instance, to) (4 * stampdns_forward_upstream_state{@i, state="down"} or 3 * stampdns_forward_upstream_state{@i, state="refusing"} or 2 * stampdns_forward_upstream_state{@i, state="suspect"} or stampdns_forward_upstream_state{@i, state="up"})`, "{{instance}} to {{to}}"}},
			course(word{"unknown", "gray"}, word{"up", "green"}, word{"suspect", "yellow"}, word{"refusing", "orange"}, word{"down", "red"})},
		{"Answers of forwarders", "How many came, by response code.",
			12, 8, perSecond, []query{{`sum by (to, rcode) (rate(stampdns_proxy_request_duration_seconds_count{@i}[@t]))`, "{{to}} {{rcode}}"}}, stacked},
		{"Time that forwarders take", "From sending a query to its answer.",
			8, 8, seconds, []query{
				{`histogram_quantile(0.5, sum by (le, to) (rate(stampdns_proxy_request_duration_seconds_bucket{@i}[@t])))`, "{{to}} half are faster"},
				{`histogram_quantile(0.99, sum by (le, to) (rate(stampdns_proxy_request_duration_seconds_bucket{@i}[@t])))`, "{{to}} 99% are faster"},
			}, lines},
		{"Health checks that failed", "Probes that a forwarder did not answer.",
			8, 8, counts, []query{{`sum by (instance, to) (increase(stampdns_proxy_healthcheck_failures_total{@i}[@t]))`, "{{instance}} to {{to}}"}}, lines},
		{"Forwarding in trouble", "Loops: queries that came back from where they were sent. Rejected: too many at a time. All down: nobody was there to ask. Ignored: what came and was no answer. Each should stay at zero.",
			8, 8, counts, []query{
				{`sum(increase(stampdns_forward_loops_total{@i}[@t]))`, "loops"},
				{`sum(increase(stampdns_forward_max_concurrent_rejects_total{@i}[@t]))`, "rejected"},
				{`sum(increase(stampdns_forward_healthcheck_broken_total{@i}[@t]))`, "all down"},
				{`sum by (reason) (increase(stampdns_forward_responses_ignored_total{@i}[@t]))`, "ignored: {{reason}}"},
			}, lines},
		{"Cache hits", "The part of the queries for other names that the cache answered at once.",
			8, 8, ratio, []query{{`sum by (instance) (rate(stampdns_cache_hits_total{@i}[@t])) / sum by (instance) (rate(stampdns_cache_requests_total{@i}[@t]))`, "{{instance}}"}}, lines},
		{"Cache entries", "Answers that are kept, expired ones among them, and those that made room for others.",
			8, 8, counts, []query{
				{`sum by (type) (stampdns_cache_entries{@i})`, "{{type}}"},
				{`sum(increase(stampdns_cache_evictions_total{@i}[@t]))`, "evicted"},
			}, lines},
		{"Answers beside the usual", "Stale: expired, but nothing better was there. Prefetched: popular, and asked for again in time. Not kept: replies that were cut, broken or to another question. Root: resolved from the root hints.",
			8, 8, perSecond, []query{
				{`sum(rate(stampdns_cache_served_stale_total{@i}[@t]))`, "stale"},
				{`sum(rate(stampdns_cache_prefetch_total{@i}[@t]))`, "prefetched"},
				{`sum(rate(stampdns_cache_drops_total{@i}[@t]))`, "not kept"},
				{`sum(rate(stampdns_forward_root_queries_total{@i}[@t]))`, "root"},
			}, lines},
		{"Connections to forwarders", "Queries over TCP and TLS, by whether a connection was open already.",
			12, 8, perSecond, []query{
				{`sum by (to, proto) (rate(stampdns_proxy_conn_cache_hits_total{@i}[@t]))`, "{{to}} {{proto}} open"},
				{`sum by (to, proto) (rate(stampdns_proxy_conn_cache_misses_total{@i}[@t]))`, "{{to}} {{proto}} opened"},
			}, lines},
		{"Cache memory", "Answers and their index.",
			12, 8, octets, []query{{`sum by (instance) (stampdns_cache_memory_bytes{@i})`, "{{instance}}"}}, lines},
	}}
}
