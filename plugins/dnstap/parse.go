package dnstap

import (
	"net"
	"os"
	"strings"

	"github.com/stampdns/stampdns/server"
)

// types is a set of dnstap message types: the bit n is the type n of dnstap.proto.
type types uint8

// The types of messages that there are of a server's queries.
const (
	authQuery      types = 1 << 1
	authResponse   types = 1 << 2
	clientQuery    types = 1 << 5
	clientResponse types = 1 << 6

	queries   = authQuery | clientQuery
	responses = authResponse | clientResponse
)

// typeNames are the types by their names in dnstap.proto.
func typeNames() map[string]types {
	return map[string]types{
		"AUTH_QUERY": authQuery, "AUTH_RESPONSE": authResponse,
		"CLIENT_QUERY": clientQuery, "CLIENT_RESPONSE": clientResponse,
	}
}

// maxText bounds identity and version: each message has them.
const maxText = 255

// options are one occurrence of the directive.
type options struct {
	target            target
	types             types
	identity, version string
}

// parse reads all occurrences of the directive.
func parse(d *server.Directive) ([]options, error) {
	var all []options
	for d.Next() {
		o := options{types: queries | responses}
		args, err := d.Arguments(1, 2)
		if err != nil {
			return nil, err
		}
		if len(args) == 2 && args[1] != "full" {
			return nil, d.UsageErr("%q: only full may follow the output, which is as without it: messages are told whole", args[1])
		}
		if o.target, err = parseTarget(d, args[0]); err != nil {
			return nil, err
		}
		for _, other := range all {
			if other.target == o.target {
				return nil, d.UsageErr("%s stands twice in one server block", o.target)
			}
		}
		for d.NextBlock() {
			if err := parseProperty(d, &o); err != nil {
				return nil, err
			}
		}
		all = append(all, o)
	}
	return all, nil
}

func parseProperty(d *server.Directive, o *options) (err error) {
	switch property := d.Val(); property {
	case "identity":
		o.identity, err = parseText(d)
	case "version":
		o.version, err = parseText(d)
	case "message_types":
		o.types, err = parseTypes(d)
	default:
		err = d.UnknownProperty("identity", "version", "message_types")
	}
	return err
}

func parseText(d *server.Directive) (string, error) {
	what := d.Val()
	args, err := d.Arguments(1, -1)
	if err != nil {
		return "", err
	}
	text := strings.Join(args, " ")
	if text == "" || len(text) > maxText {
		return "", d.UsageErr("%s is %d octets long: from 1 to %d", what, len(text), maxText)
	}
	return text, nil
}

func parseTypes(d *server.Directive) (set types, err error) {
	args, err := d.Arguments(1, -1)
	if err != nil {
		return 0, err
	}
	known := typeNames()
	for _, a := range args {
		t, ok := known[strings.ToUpper(a)]
		if !ok {
			return 0, d.UsageErr("unknown message type %q%s: there are AUTH_QUERY, AUTH_RESPONSE, CLIENT_QUERY and CLIENT_RESPONSE",
				a, server.Suggest(strings.ToUpper(a), []string{"AUTH_QUERY", "AUTH_RESPONSE", "CLIENT_QUERY", "CLIENT_RESPONSE"}))
		}
		set |= t
	}
	return set, nil
}

// target is where messages go.
type target struct {
	network string // tcp, unix or file
	address string // host:port, or a path
}

// String is the target as the Corefile has it, with the whole path.
func (t target) String() string {
	if t.network == "file" {
		return t.address
	}
	return t.network + "://" + t.address
}

func parseTarget(d *server.Directive, text string) (target, error) {
	network, address, schemed := strings.Cut(text, "://")
	switch {
	case !schemed:
		path := d.Path(text)
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			if info.Mode()&os.ModeSocket != 0 {
				return target{}, d.UsageErr("%s is a socket: write unix://%s", path, path)
			}
			return target{}, d.UsageErr("%s is no file: name one that may be written, or a socket as unix://%s", path, path)
		}
		return target{"file", path}, nil
	case network == "unix":
		if address == "" {
			return target{}, d.UsageErr("%q has no path: write unix:///PATH", text)
		}
		return target{"unix", d.Path(address)}, nil
	case network == "tcp":
		if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
			return target{}, d.UsageErr("%q is no address of a collector: write tcp://HOST:PORT", text)
		}
		return target{"tcp", address}, nil
	}
	return target{}, d.UsageErr("%s:// is not supported: write tcp://HOST:PORT, unix:///PATH, or the path of a file", network)
}
