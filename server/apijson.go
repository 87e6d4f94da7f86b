package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

// WriteJSON answers a request of the API with v. A value that JSON can't express
// is a fault of the caller: it panics, which the guard answers.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // no page shows it: see nosniff
	if err := encoder.Encode(v); err != nil {
		panic(fmt.Errorf("encode a response of the API: %w", err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body.Bytes()) // that the client is gone is not of interest
}

// WriteAPIError answers a request of the API with what is wrong with it, and what
// to do: {"error": TEXT}. The status is 400 or more.
func WriteAPIError(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Del("Content-Length") // of what a handler meant to send
	WriteJSON(w, status, map[string]string{"error": fmt.Sprintf(format, args...)})
}

// ReadJSON reads the body of a request of the API into v, a pointer. The body is
// one JSON value of at most 64 KiB, not null, and without members that v does not
// have. If it is not, ReadJSON answers the request, with status 400, 413 or 415,
// and returns false; v may be changed then.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	if !requireJSON(w, r) {
		return false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAPIBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		writeTooLarge(w)
		return false
	}
	if err == nil {
		err = decodeJSON(body, v)
	}
	if err != nil {
		WriteAPIError(w, http.StatusBadRequest, "the body is not what this request takes: %s", err)
		return false
	}
	return true
}

// decodeJSON is ReadJSON for a body. Its errors speak of JSON, not of Go.
func decodeJSON(body []byte, v any) error {
	if string(bytes.TrimSpace(body)) == "null" {
		return errors.New("it is null")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(v)
	switch mismatch, _ := errors.AsType[*json.UnmarshalTypeError](err); {
	case mismatch != nil && mismatch.Field != "":
		return fmt.Errorf("%s can't be a JSON %s", mismatch.Field, mismatch.Value)
	case mismatch != nil:
		return fmt.Errorf("it can't be a JSON %s", mismatch.Value)
	case err == io.EOF:
		return errors.New("it is empty")
	case err == io.ErrUnexpectedEOF:
		return errors.New("it ends in the middle of a value")
	case err != nil:
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("more follows behind its value")
	}
	return nil
}

// requireJSON answers a request whose body is not said to be JSON, and then
// returns false. Browsers let pages send JSON to their own site only.
func requireJSON(w http.ResponseWriter, r *http.Request) bool {
	sent := r.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(sent); err == nil && media == "application/json" {
		return true
	}
	WriteAPIError(w, http.StatusUnsupportedMediaType, "the body's content type is %q: send Content-Type: application/json", sent)
	return false
}

func writeTooLarge(w http.ResponseWriter) {
	WriteAPIError(w, http.StatusRequestEntityTooLarge, "the body is longer than %d octets, which is the most", maxAPIBody)
}
