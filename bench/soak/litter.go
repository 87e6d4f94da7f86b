//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// litter puts into the folder of the zones what does not belong there, or zones
// that nobody asks for, each time others, and takes it away: none of it may change
// an answer, or stay in memory.
func (s *soak) litter(ctx context.Context, r *rand.Rand) error {
	thief := zone{origin: externalZone}
	junk := []struct {
		name string
		make func(path string) error
	}{
		{"db." + strings.TrimSuffix(externalZone, "."), textFile(thief.text(1))}, // the stamp has it
		{"db." + strings.TrimSuffix(fileZone, "."), textFile(thief.text(1))},     // a file directive has it
		{"db.zone00.soak.example~", textFile(thief.text(1))},
		{"README", textFile("not a zone\n")},
		{".db.hidden.example.swp", textFile("\x00\xff")},
		{"db.folder.example", func(path string) error { return os.Mkdir(path, 0o755) }},
		{"db.pipe.example", func(path string) error { return syscall.Mkfifo(path, 0o644) }},
		{"db.nowhere.example", func(path string) error { return os.Symlink("no-such-file", path) }},
		{"db.itself.example", func(path string) error { return os.Symlink("db.itself.example", path) }},
		{"db.a..b", textFile(thief.text(1))},
	}
	for n := 0; ctx.Err() == nil; n++ {
		if n%2 == 0 {
			if err := s.strangers(ctx, n, r); err != nil {
				return err
			}
			continue
		}
		one := junk[r.IntN(len(junk))]
		path := filepath.Join(s.folder(), one.name)
		if err := one.make(path); err != nil {
			return err
		}
		pause(ctx, time.Duration(r.Int64N(int64(2*time.Second))))
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		pause(ctx, time.Duration(r.Int64N(int64(time.Second))))
	}
	return nil
}

func textFile(text string) func(path string) error {
	return func(path string) error { return os.WriteFile(path, []byte(text), 0o644) }
}

// strangers puts so many zones into the folder for a while that were never there
// before.
func (s *soak) strangers(ctx context.Context, n int, r *rand.Rand) error {
	folder := filepath.Join(s.folder(), "strangers")
	if err := os.Mkdir(folder, 0o755); err != nil {
		return err
	}
	for i := range 20 {
		z := zone{origin: fmt.Sprintf("s%d-%d.strangers.example.", n, i)}
		if err := os.WriteFile(filepath.Join(folder, z.origin+"zone"), []byte(z.text(1)), 0o644); err != nil {
			return err
		}
	}
	pause(ctx, time.Duration(r.Int64N(int64(3*time.Second))))
	return os.RemoveAll(folder)
}
