package prometheus

import (
	"regexp"

	"github.com/stampdns/stampdns/server"
)

// DefaultAddress is where metrics are served unless the directive says otherwise.
const DefaultAddress = "127.0.0.1:9153"

type options struct {
	address   string
	namespace string
}

func parse(d *server.Directive) (options, error) {
	o := options{address: DefaultAddress, namespace: server.MetricsNamespace}
	d.Next()
	args, err := d.Arguments(0, 1)
	if err != nil {
		return o, err
	}
	if len(args) == 1 {
		if o.address, err = d.Address(args[0]); err != nil {
			return o, err
		}
	}
	for d.NextBlock() {
		if d.Val() != "namespace" {
			return o, d.UnknownProperty("namespace")
		}
		args, err := d.Arguments(1, 1)
		if err != nil {
			return o, err
		}
		if !regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`).MatchString(args[0]) {
			return o, d.UsageErr("namespace %q: letters, digits and underscores only, as metric names have", args[0])
		}
		o.namespace = args[0]
	}
	return o, d.End()
}
