// Package plugins holds the ordered list of all plugins. It is the only package
// that imports them, and the only place that says in which order their handlers
// see a query.
package plugins

import (
	"github.com/stampdns/stampdns/plugins/acl"
	"github.com/stampdns/stampdns/plugins/api"
	"github.com/stampdns/stampdns/plugins/authority"
	"github.com/stampdns/stampdns/plugins/auto"
	"github.com/stampdns/stampdns/plugins/bind"
	"github.com/stampdns/stampdns/plugins/bufsize"
	"github.com/stampdns/stampdns/plugins/cache"
	"github.com/stampdns/stampdns/plugins/delegation"
	"github.com/stampdns/stampdns/plugins/dnstap"
	"github.com/stampdns/stampdns/plugins/errors"
	"github.com/stampdns/stampdns/plugins/fault"
	"github.com/stampdns/stampdns/plugins/file"
	"github.com/stampdns/stampdns/plugins/forward"
	"github.com/stampdns/stampdns/plugins/health"
	"github.com/stampdns/stampdns/plugins/journal"
	"github.com/stampdns/stampdns/plugins/log"
	"github.com/stampdns/stampdns/plugins/nsid"
	"github.com/stampdns/stampdns/plugins/pprof"
	"github.com/stampdns/stampdns/plugins/probe"
	"github.com/stampdns/stampdns/plugins/prometheus"
	"github.com/stampdns/stampdns/plugins/proxyproto"
	"github.com/stampdns/stampdns/plugins/ready"
	"github.com/stampdns/stampdns/plugins/reload"
	"github.com/stampdns/stampdns/plugins/stamp"
	"github.com/stampdns/stampdns/plugins/state"
	"github.com/stampdns/stampdns/plugins/status"
	"github.com/stampdns/stampdns/server"
)

// All are the plugins of stampdns in their order. version is what the metric
// build_info shows.
func All(version string) []server.Plugin {
	return []server.Plugin{
		// What the block is, before any handler.
		bind.Plugin(),
		bufsize.Plugin(),
		proxyproto.Plugin(),
		reload.Plugin(),
		health.Plugin(),
		ready.Plugin(),
		pprof.Plugin(),
		state.Plugin(),
		api.Plugin(),
		// Observers: in front of the server's own checks.
		delegation.Plugin(),
		journal.Plugin(),
		status.Plugin(version),
		dnstap.Plugin(version),
		prometheus.Plugin(version),
		log.Plugin(),
		errors.Plugin(),
		nsid.Plugin(),
		// Those that answer, or bring the zones to answer from.
		acl.Plugin(),
		fault.Plugin(),
		stamp.Plugin(),
		file.Plugin(),
		auto.Plugin(),
		probe.Plugin(),
		probe.Answers(),
		authority.Plugin(),
		// Names that are not ours.
		forward.Gate(),
		cache.Plugin(),
		forward.Plugin(),
	}
}
