package stamp

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"

	"github.com/stampdns/stampdns/zones/stamp"
)

// watcher has the configuration reloaded when the stamp file changes: names,
// addresses and serials then change together, or, if anything is wrong with the
// file, not at all.
type watcher struct {
	file   string
	seen   [sha256.Size]byte
	reload func() error
	failed func(error) // notes that the stamp is not what the file says
	log    *slog.Logger
	gone   bool // the file could not be read last time
}

// look looks at the file once.
func (w *watcher) look() {
	data, err := contents(w.file)
	if err != nil {
		if !w.gone {
			w.gone = true
			w.failed(err)
			w.log.Error("stamp file cannot be read; the stamp stays as it was", "file", w.file, "error", err)
		}
		return
	}
	now := sha256.Sum256(data)
	if now == w.seen && !w.gone {
		return
	}
	w.seen, w.gone = now, false
	w.log.Info("stamp file changed: reload", "file", w.file)
	// The server logs why a reload failed.
	if err := w.reload(); err != nil {
		w.failed(err)
	}
}

// contents reads a stamp file. It is read again at each reload: opening a pipe
// then might block for ever.
func contents(path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &stamp.FileError{Path: path, Err: errNotRegular}
	}
	return stamp.Contents(path)
}

var errNotRegular = errors.New("this is no regular file, and a reload could not read it again: copy it to a file, " +
	"or give it to stampdns serve --stamp, which reads a pipe once")
