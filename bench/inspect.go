//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// profileTime is how long a CPU profile of a mix is.
const profileTime = 6 * time.Second

// inspect looks into stampdns under the mix's load: how many objects it makes for
// an answer, and with -profile where its time goes. It does so to a process of its
// own that is not timed, for to be looked at costs time.
func (c *contest) inspect(ctx context.Context, data *dataset) (allocations *float64, err error) {
	c.b.note("mix %s: a look into %s", c.mix.name, ourName)
	one := &contestant{Server: ourName}
	defer func() {
		if one.instance != nil {
			c.b.stop(one.instance)
		}
	}()
	if err := c.enter(ctx, one, stampdns(c.b.ours.command, true), data); err != nil {
		return nil, fmt.Errorf("a look into %s: %w", ourName, err)
	}
	i := one.instance
	l, err := c.load(one, c.b.seconds)
	if err != nil {
		return nil, err
	}
	before, err := i.allocated(ctx)
	if err != nil {
		return nil, err
	}
	again, err := i.allocated(ctx)
	if err != nil {
		return nil, err
	}
	seen, err := c.perf(ctx, one, l)
	if err != nil {
		return nil, err
	}
	after, err := i.allocated(ctx)
	if err != nil {
		return nil, err
	}
	if seen.Answered == 0 {
		return nil, i.process.Failure(errors.New("no query was answered"))
	}
	// To look makes objects as well.
	each := max(0, (after-again)-(again-before)) / float64(seen.Answered)
	if c.b.profile != "" {
		err = c.profile(ctx, one)
	}
	return &each, err
}

var mallocs = regexp.MustCompile(`(?m)^# Mallocs = (\d+)$`)

// allocated is how many objects the server has made since its start.
func (i *instance) allocated(ctx context.Context) (float64, error) {
	text, err := i.get(ctx, i.profiles, "/debug/pprof/allocs?debug=1", 10*time.Second)
	if err != nil {
		return 0, err
	}
	found := mallocs.FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("the profile of allocations has no %q", mallocs)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

// profile keeps a CPU profile of the contestant under load.
func (c *contest) profile(ctx context.Context, one *contestant) error {
	const start = time.Second // for the load to be there before and after
	duration := profileTime
	if c.b.quick {
		duration = time.Second
	}
	l, err := c.load(one, duration+2*start)
	if err != nil {
		return err
	}
	loaded := make(chan error, 1)
	go func() {
		_, err := c.perf(ctx, one, l)
		loaded <- err
	}()
	if err := sleep(ctx, start); err != nil {
		return errors.Join(err, <-loaded)
	}
	i := one.instance
	text, err := i.get(ctx, i.profiles, fmt.Sprintf("/debug/pprof/profile?seconds=%.0f", duration.Seconds()), duration+10*time.Second)
	if err := errors.Join(err, <-loaded); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	file := filepath.Join(c.b.dir, "profile-"+c.mix.name)
	c.b.profiles = append(c.b.profiles, file)
	return os.WriteFile(file, text, 0o644)
}

// mergeProfiles writes the file of -profile.
func (b *bench) mergeProfiles(ctx context.Context) error {
	if b.profile == "" {
		return nil
	}
	if len(b.profiles) == 0 {
		return errors.New("-profile takes the part cpu, with " + ourName + " among the servers")
	}
	merged := filepath.Join(b.dir, "profile")
	args := append([]string{"tool", "pprof", "-symbolize=none", "-proto", "-output", merged}, b.profiles...)
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go tool pprof: %w: %s", err, out)
	}
	text, err := os.ReadFile(merged)
	if err != nil {
		return err
	}
	if text, err = withoutFolders(text); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	to := b.profile
	if !filepath.IsAbs(to) {
		to = filepath.Join(b.root, to)
	}
	return os.WriteFile(to, text, 0o644)
}

// withoutFolders takes from a profile the folders that name this machine: that of
// the program, which was built without those of its source (-trimpath).
func withoutFolders(profile []byte) ([]byte, error) {
	packed, err := gzip.NewReader(bytes.NewReader(profile))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(packed)
	if err != nil {
		return nil, err
	}
	if text, err = cleanStrings(text); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err = w.Write(text)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

// The fields of a profile.proto's Profile, and how they are written: a varint of
// number and wire type, then a varint, or a length and as many octets.
const (
	profileStrings = 6
	wireVarint     = 0
	wireOctets     = 2
)

// cleanStrings leaves of absolute paths in the string table their last element.
func cleanStrings(text []byte) (out []byte, err error) {
	varint := func() uint64 {
		v, n := binary.Uvarint(text)
		if n <= 0 {
			err, text = errors.New("no profile: a number is cut off"), nil
			return 0
		}
		text = text[n:]
		return v
	}
	for len(text) > 0 {
		tag, value := varint(), varint()
		out = binary.AppendUvarint(out, tag)
		switch {
		case err != nil:
			return nil, err
		case tag&7 == wireVarint:
			out = binary.AppendUvarint(out, value)
			continue
		case tag&7 != wireOctets || value > uint64(len(text)):
			return nil, errors.New("no profile: a field is of no known form, or cut off")
		}
		octets := string(text[:value])
		text = text[value:]
		if tag>>3 == profileStrings && strings.HasPrefix(octets, "/") {
			octets = path.Base(octets)
		}
		out = append(binary.AppendUvarint(out, uint64(len(octets))), octets...)
	}
	return out, nil
}
