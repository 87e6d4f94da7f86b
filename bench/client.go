//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// ask sends q once and checks the reply.
func ask(ctx context.Context, addr netip.AddrPort, q question, tcp, do bool, patience time.Duration) error {
	client := dns.Client{Net: "udp", Timeout: patience}
	if tcp {
		client.Net = "tcp"
	}
	m, _, err := client.ExchangeContext(ctx, q.message(do), addr.String())
	if err != nil {
		return fmt.Errorf("%s: %w", q, err)
	}
	return q.check(m, do)
}

// compare asks all questions and returns the first wrong answer. A query that is
// lost is asked again: losing is slow, not wrong.
func compare(ctx context.Context, addr netip.AddrPort, questions []question, tcp, do bool) error {
	const tries = 3
	for _, q := range questions {
		var err error
		for range tries {
			if err = ask(ctx, addr, q, tcp, do, time.Second); err == nil || ctx.Err() != nil {
				break
			}
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// waitFor asks one question after the other, each until the answer is right, or
// patience is over. done, closed, ends it.
func waitFor(ctx context.Context, addr netip.AddrPort, questions []question, pause time.Duration, done <-chan struct{}) error {
	const patience = 50 * time.Millisecond
	for _, q := range questions {
		for {
			err := ask(ctx, addr, q, false, false, patience)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%w: last: %w", context.Cause(ctx), err)
			case <-done:
				return fmt.Errorf("it has ended; last: %w", err)
			case <-time.After(pause):
			}
		}
	}
	return nil
}
