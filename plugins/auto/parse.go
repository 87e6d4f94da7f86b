package auto

import (
	"errors"
	"io"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/wire"
)

// defaultReload is how often the directory is looked at unless the directive
// says otherwise.
const defaultReload = 2 * time.Second

type options struct {
	directory string
	zones     []wire.Name // what a file's zone must be in
	naming    naming
	reload    time.Duration
}

// parse reads one occurrence of the directive.
func parse(d *server.Directive) (options, error) {
	o := options{reload: defaultReload, naming: defaultNaming}
	args, err := d.Arguments(0, -1)
	if err != nil {
		return o, err
	}
	if o.zones, err = d.Names(args); err != nil {
		return o, err
	}
	for d.NextBlock() {
		switch d.Val() {
		case "directory":
			err = o.parseDirectory(d)
		case "reload":
			o.reload, err = d.DurationArgument(0)
		case "transfer", "fallthrough", "upstream":
			err = d.Errf("%s is not supported: CoreDNS has it, stampdns does not: remove the line", d.Val())
		case "no_reload":
			err = d.Errf("no_reload is not supported: write reload 0")
		default:
			err = d.UnknownProperty("directory", "reload")
		}
		if err != nil {
			return o, err
		}
	}
	if o.directory == "" {
		return o, d.UsageErr("needs a directory to take zones from")
	}
	return o, nil
}

func (o *options) parseDirectory(d *server.Directive) error {
	args, err := d.Arguments(1, -1)
	if err != nil {
		return err
	}
	if len(args) > 3 {
		return d.UsageErr("%s behind the origin template: CoreDNS's TIMEOUT is not supported, write reload DURATION on a line of its own", args[3])
	}
	o.directory = d.Path(args[0])
	if info, err := os.Stat(o.directory); err != nil {
		return d.Errf("%w: make it, or correct the path", err)
	} else if !info.IsDir() {
		return d.Errf("%s is not a directory: name the directory that holds the zone files", o.directory)
	} else if err := readable(o.directory); err != nil {
		return d.Errf("%w", err)
	}
	switch len(args) {
	case 2:
		return d.UsageErr("a file name pattern needs an origin template behind it, such as {1}")
	case 3:
		o.naming, err = patternNaming(d, args[1], args[2])
	}
	return err
}

func readable(directory string) error {
	f, err := os.Open(directory)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = f.Readdirnames(1); errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// patternNaming finds zones in file names as CoreDNS does: what the expression
// matches anywhere in the name fills the template, {1} standing for its first
// parenthesis.
func patternNaming(d *server.Directive, expression, template string) (naming, error) {
	re, err := regexp.Compile(expression)
	if err != nil {
		return nil, d.Errf("file name pattern: %w", err)
	}
	if re.NumSubexp() == 0 {
		return nil, d.UsageErr("file name pattern %q has no parentheses for the zone's name", expression)
	}
	reference := regexp.MustCompile(`\{(\d+)\}`)
	for _, m := range reference.FindAllStringSubmatch(template, -1) {
		if n, err := strconv.Atoi(m[1]); err != nil || n > re.NumSubexp() {
			return nil, d.UsageErr("origin template: %s, but the pattern has only %d parentheses", m[0], re.NumSubexp())
		}
	}
	template = reference.ReplaceAllString(template, "$${$1}")
	return func(name string) (string, bool) {
		at := re.FindStringSubmatchIndex(name)
		if at == nil {
			return "", false
		}
		return string(re.ExpandString(nil, template, name, at)), true
	}, nil
}
