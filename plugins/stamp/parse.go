package stamp

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/stampdns/stampdns/server"
	"github.com/stampdns/stampdns/zones/stamp"
)

// defaultReload is how often the stamp file is looked at unless the directive
// says otherwise.
const defaultReload = 2 * time.Second

// options are what one directive says.
type options struct {
	stamp    stamp.Stamp
	file     string // the stamp file; may be empty
	seen     [sha256.Size]byte
	warnings []string
	reload   time.Duration

	at server.ConfigError // where the directive stands
}

// place is FILE:LINE of the directive.
func (o *options) place() string { return o.at.File + ":" + strconv.Itoa(o.at.Line) }

// source is where the stamp is described: its file, else the directive.
func (o *options) source() string { return cmp.Or(o.file, o.place()) }

// errf is an error about the directive as a whole.
func (o *options) errf(format string, args ...any) error {
	e := o.at
	e.Err = fmt.Errorf(format, args...)
	return &e
}

// parse reads the directive, of which a block has one.
func parse(d *server.Directive) (options, error) {
	d.Next()
	o := options{
		stamp: stamp.Default(), reload: defaultReload,
		at: server.ConfigError{File: d.File(), Line: d.Line(), Directive: d.Plugin.Name},
	}
	args, err := d.Arguments(0, 1)
	if err != nil {
		return o, err
	}
	if len(args) == 1 {
		if err := o.read(d.Path(args[0])); err != nil {
			return o, d.Errf("%w", err)
		}
	}
	change := stamp.Change(&o.stamp)
	for d.NextBlock() {
		if err := o.property(d, change); err != nil {
			return o, err
		}
	}
	if d.Next() {
		return o, d.Errf("stands twice in one server block: give each stamp a block of its own")
	}
	if err := o.stamp.Validate(); err != nil {
		return o, o.errf("%w%s", err, suggest(err))
	}
	for _, w := range o.stamp.Warnings() {
		if !slices.Contains(o.warnings, w) {
			o.warnings = append(o.warnings, w)
		}
	}
	return o, nil
}

// property reads one line of the directive's block.
func (o *options) property(d *server.Directive, change *stamp.Options) (err error) {
	name := d.Val()
	if name == "reload" {
		o.reload, err = d.DurationArgument(0)
		return err
	}
	args, err := d.Arguments(0, -1)
	if err != nil {
		return err
	}
	err = change.Set(name, args...)
	var unknown *stamp.UnknownError
	if errors.As(err, &unknown) && unknown.What == "option" {
		known := append(stamp.OptionNames(), "reload")
		return d.UsageErr("unknown property %q%s", name, server.Suggest(name, known))
	}
	if err != nil {
		return d.Errf("%w%s", err, suggest(err))
	}
	return nil
}

// read reads the stamp file.
func (o *options) read(path string) (err error) {
	o.file = path
	data, err := contents(path)
	if err != nil {
		return err
	}
	o.seen = sha256.Sum256(data)
	o.stamp, o.warnings, err = stamp.Parse(data)
	var fault *stamp.FileError
	if errors.As(err, &fault) {
		fault.Path = path
	}
	return err
}

// suggest is a near miss of the name that err does not know, if there is one.
func suggest(err error) string {
	var unknown *stamp.UnknownError
	if !errors.As(err, &unknown) {
		return ""
	}
	return server.Suggest(unknown.Name, unknown.Known)
}
