package main

// delegation is who comes, and by which way.
func delegation() row {
	return row{"Delegation", []panel{
		{"Queries by resolver and name server", "Does each resolver use both name servers? Resolvers that follow a delegation should; a forwarder may use the second only when the first fails.",
			8, 8, perSecond, []query{{`sum by (resolver, ns) (rate(stampdns_delegation_resolver_queries_total{@rn}[@t]))`, "{{resolver}} {{ns}}"}}, lines},
		{"Queries by resolver and path", "By which way each resolver comes. One way is right; a resolver with both has a forwarder besides the delegation, or is several servers.",
			8, 8, perSecond, []query{{`sum by (resolver, path) (rate(stampdns_delegation_resolver_queries_total{@rn}[@t]))`, "{{resolver}} {{path}}"}}, lines},
		{"Queries at each name server", "How many queries of each resolver each name server had in the time shown.",
			8, 8, counts, []query{{`sum by (resolver, ns) (increase(stampdns_delegation_resolver_queries_total{@rn}[$__range]))`, ""}}, matrix("resolver", "ns")},
		{"Last query", "How long ago each resolver last asked each name server. An empty field is a name server that it has not asked since the server started.",
			8, 8, seconds, []query{{`time() - max by (resolver, ns) (stampdns_delegation_resolver_last_seen_timestamp_seconds{@rn})`, ""}}, matrix("resolver", "ns")},
		{"What resolvers have proven", "Yes once a query proved it. That something was not seen proves nothing: a resolver that never had a truncated reply has no reason to use TCP.",
			10, 8, counts, []query{{`max by (resolver, capability) (stampdns_delegation_resolver_capability{@r})`, ""}},
			matrix("resolver", "capability", word{"not seen", "text"}, word{"yes", "green"})},
		{"Sources hidden", "Yes if all queries seem to come from one address that is not their senders': source NAT, a published container port or a load balancer. Resolvers cannot be told apart then.",
			3, 8, counts, []query{{`max by (instance) (stampdns_delegation_source_hidden{@i})`, "{{instance}}"}},
			states(word{"no", "green"}, word{"yes", "red"})},
		{"Learned resolvers", "Senders without a name that are told apart by their address.",
			3, 8, counts, []query{{`max by (instance) (stampdns_delegation_resolvers_learned{@i})`, "{{instance}}"}}, number(0)},
		{"After truncated replies", "Whether the question came over TCP within ten seconds. A resolver that never comes over TCP may be behind a firewall that blocks it: long answers do not arrive.",
			8, 8, counts, []query{
				{`sum by (resolver) (increase(stampdns_delegation_tcp_after_tc_total{@r}[@t]))`, "{{resolver}} came over TCP"},
				{`sum by (resolver) (increase(stampdns_delegation_tc_unretried_total{@r}[@t]))`, "{{resolver}} did not"},
				{`sum by (resolver) (increase(stampdns_delegation_tcp_without_tc_total{@r}[@t]))`, "{{resolver}} TCP unasked"},
			}, lines},
		{"Failovers", "Questions that met a fault at one name server and came to the other within ten seconds.",
			8, 8, counts, []query{{`sum by (resolver, from, to) (increase(stampdns_delegation_failover_total{@r}[@t]))`, "{{resolver}} {{from}} to {{to}}"}}, lines},
		{"Failover delay", "How long resolvers took to ask the other name server, from the first query that met the fault.",
			8, 8, seconds, []query{
				{`histogram_quantile(0.5, sum by (le) (rate(stampdns_delegation_failover_delay_seconds_bucket{@i}[@t])))`, "half are faster"},
				{`histogram_quantile(0.95, sum by (le) (rate(stampdns_delegation_failover_delay_seconds_bucket{@i}[@t])))`, "95% are faster"},
			}, lines},
		{"Names in none of the zones", "Above a zone (parent) and beside one (sibling) are signs of a wrong cut: too high a name is delegated or forwarded to the stamp. The root and others are mostly people and scanners.",
			8, 8, counts, []query{{`sum by (resolver, kind) (increase(stampdns_delegation_out_of_zone_total{@r}[@t]))`, "{{resolver}} {{kind}}"}}, lines},
		{"Forwarded below a cut", "Queries of forwarders that got a referral, which a forwarder cannot follow: their clients get no answer.",
			8, 8, counts, []query{{`sum by (zone, ns) (increase(stampdns_delegation_below_cut_recursive_total{@n}[@t]))`, "{{zone}} {{ns}}"}}, lines},
		{"DS at the zone itself", "The parent has DS records, not the zone. Who asks here validates, and comes by a forwarder or a stub zone: it may find the zone bogus.",
			8, 8, counts, []query{{`sum by (resolver) (increase(stampdns_delegation_ds_at_child_total{@r}[@t]))`, "{{resolver}}"}}, lines},
		{"Probes", "Probes of stampdns probe in the time shown: how many were asked for here, and what their askers said of them.",
			8, 8, counts, []query{{`sum by (resolver, path, result) (increase(stampdns_delegation_probe_total{@r}[$__range]))`, ""}}, list},
		{"Verified ways", "Whether the last probe on a way came back to its asker.",
			8, 8, counts, []query{{`min by (resolver, path, ns) (stampdns_delegation_verified{@rn})`, "{{resolver}} {{path}} {{ns}}"}},
			states(word{"failed", "red"}, word{"verified", "green"})},
		{"Zones that are asked", "A stamp has two zones: one that stays at zero may be neither delegated nor forwarded.",
			8, 8, perSecond, []query{{`sum by (zone, path) (rate(stampdns_delegation_queries_total{@n}[@t]))`, "{{zone}} {{path}}"}}, lines},
	}}
}

// resolvers is how those who come work.
func resolvers() row {
	return row{"How resolvers work", []panel{
		{"Refetching", "The time between two questions of a source for the same records, as a part of their TTL. About 1 is a cache. Below are prefetching, a cap on TTLs, several caches behind one address, or none.",
			8, 8, counts, []query{{`sum by (le) (increase(stampdns_delegation_refetch_ratio_bucket{@r}[@t]))`, "{{le}}"}}, heat},
		{"QNAME minimization and random case", "Questions for a part of a name soon before the whole (RFC 9156), by what gave them away, and questions whose letters have a case at random, which is against forgery.",
			8, 8, perSecond, []query{
				{`sum by (resolver, signal) (rate(stampdns_delegation_qname_minimization_total{@r}[@t]))`, "{{resolver}} {{signal}}"},
				{`sum by (resolver) (rate(stampdns_delegation_case_randomized_total{@r}[@t]))`, "{{resolver}} random case"},
			}, lines},
		{"Questions about the delegation", "Addresses of name servers are asked for by resolvers that do not trust glue, NS records of a zone by those that take the child's word for them.",
			8, 8, perSecond, []query{
				{`sum by (resolver, target) (rate(stampdns_delegation_glue_queries_total{@r}[@t]))`, "{{resolver}} address of {{target}}"},
				{`sum by (resolver) (rate(stampdns_delegation_apex_ns_queries_total{@r}[@t]))`, "{{resolver}} NS of a zone"},
			}, lines},
		{"EDNS", "Queries by the version of EDNS. If none has it, a firewall may strip it.",
			8, 8, perSecond, []query{{`sum by (ns, version) (rate(stampdns_delegation_edns_queries_total{@n}[@t]))`, "{{ns}} {{version}}"}}, stacked},
		{"EDNS options", "Queries with the DO bit or an option.",
			8, 8, perSecond, []query{{`sum by (option) (rate(stampdns_delegation_edns_options_total{@n}[@t]))`, "{{option}}"}}, lines},
		{"UDP size that is asked for", "Half of the queries with EDNS ask for no more than this. 1232 is usual today, 4096 was.",
			8, 8, octets, []query{{`histogram_quantile(0.5, sum by (le) (rate(stampdns_delegation_edns_udp_size_bytes_bucket{@i}[@t])))`, "median"}}, lines},
		{"Header flags", "Queries with a bit of the header set. RD is from forwarders and people, not from resolvers that follow a delegation.",
			12, 8, perSecond, []query{{`sum by (ns, flag) (rate(stampdns_delegation_flags_total{@n}[@t]))`, "{{ns}} {{flag}}"}}, lines},
		{"Queries of validators", "Questions for records of DNSSEC.",
			12, 8, perSecond, []query{{`sum by (ns, type) (rate(stampdns_delegation_dnssec_queries_total{@n}[@t]))`, "{{ns}} {{type}}"}}, lines},
	}}
}
