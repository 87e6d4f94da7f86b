//go:build linux

package main

import (
	"testing"
	"time"
)

// TestHistory says by time what a zone may be answered with.
func TestHistory(t *testing.T) {
	var clock time.Duration
	at := func(n int) { clock = time.Duration(n) * time.Second }
	h := newHistory(5*time.Second, func() time.Duration { return clock }, content{version: 1})
	at(10)
	h.begin(content{version: 2})
	at(11)
	h.settle() // due at 16
	at(20)
	h.begin(content{kind: absent})
	h.begin(content{version: 3})
	at(21)
	h.settle() // due at 26
	for _, tc := range []struct {
		c              content
		sent, received int
		want           judgement
	}{
		{content{version: 1}, 1, 2, right},
		{content{version: 2}, 8, 9, early},
		{content{version: 2}, 9, 10, right}, // the change came between query and answer
		{content{version: 1}, 15, 15, right},
		{content{version: 1}, 15, 99, right}, // it was sent in time
		{content{version: 1}, 16, 16, late},
		{content{version: 2}, 19, 19, right},
		{content{kind: absent}, 19, 19, early},
		{content{kind: absent}, 20, 20, right}, // and never has to be
		{content{version: 3}, 20, 20, right},
		{content{version: 2}, 25, 25, right},
		{content{version: 2}, 26, 26, late},
		{content{kind: absent}, 26, 26, late},
		{content{version: 3}, 30, 30, right},
		{content{version: 4}, 30, 30, never},
		{content{kind: failed}, 30, 30, never},
		{content{}, 30, 30, right}, // any version
		{content{}, 20, 20, right},
	} {
		got := h.judge(tc.c, 0, 0, time.Duration(tc.sent)*time.Second, time.Duration(tc.received)*time.Second)
		if got != tc.want {
			t.Errorf("%s, sent at %d, answered at %d: %s, want %s", tc.c, tc.sent, tc.received, got, tc.want)
		}
	}
}

// TestHistoryFloor says that what was served is not taken back.
func TestHistoryFloor(t *testing.T) {
	h := newHistory(time.Hour, func() time.Duration { return time.Second }, content{version: 1})
	h.begin(content{kind: absent})
	h.begin(content{version: 2})
	h.begin(content{kind: absent})
	h.settle()
	judge := func(c content, listener int, want judgement) {
		t.Helper()
		if got := h.judge(c, listener, h.floor(listener), 2*time.Second, 2*time.Second); got != want {
			t.Errorf("%s at listener %d: %s, want %s", c, listener, got, want)
		}
	}
	judge(content{version: 1}, 0, right)
	judge(content{kind: absent}, 0, right)
	if h.floor(0) != 1 {
		t.Errorf("an answer that may be of state 1 or 3 is taken for one of %d", h.floor(0))
	}
	judge(content{version: 1}, 0, back)
	judge(content{version: 1}, 1, right) // the other listener may lag
	judge(content{version: 2}, 0, right)
	if h.seen() {
		t.Error("a state is seen before all listeners have it")
	}
	judge(content{kind: absent}, 0, right)
	judge(content{version: 2}, 1, right)
	judge(content{kind: absent}, 1, right)
	if !h.seen() || h.floor(0) != 3 || h.floor(1) != 3 {
		t.Errorf("the last state is not seen: floors %d %d", h.floor(0), h.floor(1))
	}
}

// TestDue says that waiting for a state ends when it is due.
func TestDue(t *testing.T) {
	var clock time.Duration
	h := newHistory(time.Second, func() time.Duration { return clock }, content{version: 1})
	h.begin(content{version: 2})
	h.settle()
	if h.seen() {
		t.Error("seen at once")
	}
	if clock = 2 * time.Second; !h.seen() {
		t.Error("not over when it is due")
	}
}
