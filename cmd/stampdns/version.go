package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is the version being released, set by the linker alone:
// -ldflags "-X main.version=1.2.3".
var version string

// build is what is known of how this program was made.
type build struct {
	version  string // of the release, or of the module, or "devel"
	revision string // of the checkout, with "+changes" if it had any; may be empty
	time     string // of the revision, RFC 3339; may be empty
}

// thisBuild reads what linker and toolchain left in the program.
func thisBuild() build {
	b := build{version: version}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	changed := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.revision = s.Value[:min(12, len(s.Value))]
		case "vcs.time":
			b.time = s.Value
		case "vcs.modified":
			changed = s.Value == "true"
		}
	}
	if changed && b.revision != "" {
		b.revision += "+changes"
	}
	if b.version == "" && info.Main.Version != "(devel)" {
		b.version = info.Main.Version
	}
	if b.version == "" {
		b.version = "devel"
	}
	return b
}

// String is what the verb version prints.
func (b build) String() string {
	text := "stampdns " + b.version + "\n"
	if b.revision != "" {
		text += "revision " + b.revision + " " + b.time + "\n"
	}
	return text + fmt.Sprintf("%s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func (c *command) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print version, revision and Go version",
		Example: "  stampdns version",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(c.stdout, thisBuild())
			return err
		},
	}
}
