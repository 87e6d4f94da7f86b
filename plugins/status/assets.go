package status

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"

	"github.com/stampdns/stampdns/server"
)

// assets are what the page loads. Nothing is loaded from elsewhere.
//
//go:embed assets
var assets embed.FS

// policy lets the page load its own assets and ask its own API, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// secure sets the headers of all that is not JSON.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// mediaType is that of an asset, "" where it is none: the system's own table of types
// may say anything.
func mediaType(file string) string {
	switch path.Ext(file) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return ""
}

// getAsset answers with a file that the page loads.
func getAsset(w http.ResponseWriter, r *http.Request) {
	file := r.PathValue("file")
	body, err := assets.ReadFile("assets/" + file)
	kind := mediaType(file)
	if err != nil || kind == "" {
		server.WriteAPIError(w, http.StatusNotFound, "the page has no file %q", file)
		return
	}
	secure(w.Header())
	sum := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Write(body)
}
