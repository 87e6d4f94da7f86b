package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The times of who follows.
const (
	followRetry = time.Second // before connecting again
	// followSilence is how long a stream may be silent: the server gives a sign of life
	// every quarter of a minute.
	followSilence = 45 * time.Second
	followLine    = 1 << 20 // octets
)

// errSilent is a stream without a sign of life.
var errSilent = errors.New("the server is silent")

// errStreamEnded is the end of a stream, which comes with a reload of the server.
var errStreamEnded = errors.New("the stream ended")

// followEntries shows what is there, and then what comes, until Ctrl-C.
func (j *journalFlags) followEntries() error {
	ctx, stop := signal.NotifyContext(j.cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	limit := j.limit
	if !j.given("limit") {
		limit = followedLimit
	}
	l, err := j.get(limit)
	if err != nil {
		return err
	}
	j.noteSampled(l)
	if j.output != "json" {
		if _, err := fmt.Fprintln(j.command.stdout, strings.ToUpper(journalLine(journalHeader()))); err != nil {
			return err
		}
	}
	for _, raw := range l.Entries {
		if err := j.show(raw); err != nil {
			return err
		}
	}
	client, err := j.client()
	if err != nil {
		return err
	}
	values := filterValues(j.filters)
	values.Set("max", strconv.Itoa(int(j.max)))
	s := &stream{client: client, path: "/journal/stream?" + values.Encode(), last: l.Cursor, show: j.show, skipped: j.noteSkipped}
	return j.keepFollowing(ctx, s)
}

// keepFollowing connects again whenever the stream ends.
func (j *journalFlags) keepFollowing(ctx context.Context, s *stream) error {
	for told := false; ; {
		err := s.follow(ctx)
		var refused *usageError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &refused), errors.Is(err, errCannotShow):
			return err
		case s.began:
			told = false // the next fault is another one
		}
		if !told && !errors.Is(err, errStreamEnded) {
			j.command.note("%w; connecting again", err)
			told = true
		}
		select {
		case <-time.After(followRetry):
		case <-ctx.Done():
			return nil
		}
	}
}

// errCannotShow is that nobody reads what is shown.
var errCannotShow = errors.New("write")

// show writes one entry.
func (j *journalFlags) show(raw json.RawMessage) error {
	var err error
	if j.output == "json" {
		err = writeObject(j.command.stdout, raw)
	} else {
		row, fault := journalRow(raw)
		if fault != nil {
			return fault
		}
		_, err = fmt.Fprintln(j.command.stdout, journalLine(row))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errCannotShow, err)
	}
	return nil
}

// noteSkipped says that something is missing.
func (j *journalFlags) noteSkipped(count uint64, reason string) {
	queries := plural(count, "query is", "queries are")
	switch reason {
	case "sampled":
		j.command.note("%s not recorded, as more came than the journal's rate", queries)
	case "rate":
		j.command.note("%s not shown, as more came than %d a second: see --max, or use a filter", queries, j.max)
	case "overwritten":
		j.command.note("%s lost, as newer ones took their place in the journal before they were sent", queries)
	default:
		j.command.note("%s left out: %s", queries, printable(reason))
	}
}

// plural is a number and its noun.
func plural[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// stream is a way to follow the journal.
type stream struct {
	client  *apiClient
	path    string
	last    string // the id of the last event
	began   bool   // the last connection had a stream
	show    func(json.RawMessage) error
	skipped func(count uint64, reason string)
}

// follow connects and shows what comes, until the stream breaks: it never returns nil.
func (s *stream) follow(ctx context.Context) error {
	s.began = false
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(followSilence, func() { cancel(errSilent) })
	defer silence.Stop()
	request, err := s.client.request(ctx, http.MethodGet, s.path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/event-stream, application/json")
	request.Header.Set("Last-Event-ID", s.last)
	response, err := s.client.http.Do(request)
	if err != nil {
		return s.client.unanswered(err)
	}
	defer response.Body.Close()
	media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusOK || err != nil || media != "text/event-stream" {
		body, _ := io.ReadAll(io.LimitReader(response.Body, followLine))
		if err := s.client.refused(response, body); err != nil {
			return err
		}
		return fmt.Errorf("%s%s%s answered something other than events: is it the API of a stampdns?", s.client.base, apiBase, strings.Split(s.path, "?")[0])
	}
	s.began = true
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, followLine)
	if err := s.read(lines, func() { silence.Reset(followSilence) }); err != nil {
		return err
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", s.client.base, cmp.Or(context.Cause(ctx), err))
	}
	return errStreamEnded
}

// read reads events (HTML Living Standard section 9.2.6) and hands them on.
func (s *stream) read(lines *bufio.Scanner, alive func()) error {
	name, data, id := "", "", s.last
	for lines.Scan() {
		alive()
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if err := s.event(name, data); err != nil {
				return err
			}
			s.last = id
			name, data = "", ""
		case field == "event":
			name = value
		case field == "data":
			data += value
		case field == "id":
			id = value
		}
	}
	return nil
}

// event hands one event on.
func (s *stream) event(name, data string) error {
	if data == "" {
		return nil
	}
	switch name {
	case "":
		return s.show(json.RawMessage(data))
	case "skipped":
		var skip struct {
			Count  uint64 `json:"count"`
			Reason string `json:"reason"`
		}
		if err := json.Unmarshal([]byte(data), &skip); err != nil {
			return fmt.Errorf("the server sent an event that no stampdns would: %w", err)
		}
		s.skipped(skip.Count, skip.Reason)
	}
	return nil
}
