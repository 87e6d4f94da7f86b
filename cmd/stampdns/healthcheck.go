package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stampdns/stampdns/server"
)

// healthFlags are the options of healthcheck.
type healthFlags struct {
	ready, conf, url string
	timeout          time.Duration
}

func (c *command) healthcheck() *cobra.Command {
	var flags healthFlags
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "exit 0 when the local server is ready",
		Long: `Ask the readiness address of a server on this machine and exit 0 when it is
ready, 1 when it is not. This is the container's health check: the address is
the one that serve gets, from the same flag or environment variable, or that of
the first directive ready in its Corefile.`,
		Example: `  stampdns healthcheck
  stampdns healthcheck --ready 127.0.0.1:8181
  stampdns healthcheck --conf Corefile
  stampdns healthcheck --url http://192.0.2.11:8181/ready`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, err := flags.readyURL(c, cmd)
			if err != nil {
				return err
			}
			return probe(cmd.Context(), url, flags.timeout)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.ready, "ready", defaultReady, "`ADDRESS` of the readiness check, as given to serve")
	f.StringVar(&flags.conf, "conf", "", "take the address from this Corefile, a `FILE`")
	f.StringVar(&flags.url, "url", "", "`URL` to ask, whatever the other options say")
	f.DurationVar(&flags.timeout, "timeout", 2*time.Second, "how long to wait for the answer, a `DURATION`")
	return cmd
}

// readyURL is the URL to ask. The flag that is given decides; of variables, the
// one for readiness alone goes before that of the Corefile.
func (h *healthFlags) readyURL(c *command, cmd *cobra.Command) (string, error) {
	if h.url != "" {
		return h.url, nil
	}
	ready, conf := cmd.Flags().Lookup("ready"), cmd.Flags().Lookup("conf")
	if ready.Changed && conf.Changed {
		return "", usagef("--ready and --conf: give the one that serve has")
	}
	listen, option := h.ready, c.origin(cmd, "ready")
	if h.conf != "" && (conf.Changed || !ready.Changed && !c.fromEnvironment(ready)) {
		var err error
		if listen, err = readyAddress(h.conf); err != nil {
			return "", err
		}
		option = h.conf + ": ready"
	}
	if listen == off {
		return "", usagef("readiness is off: give --ready or --url")
	}
	base, err := localURL(option, listen)
	if err != nil {
		return "", err
	}
	return base + "/ready", nil
}

// readyAddress is where the first ready of a Corefile listens.
func readyAddress(path string) (string, error) {
	cf, err := server.ReadCorefile(path)
	if err != nil {
		return "", err
	}
	all, err := cf.Arguments("ready")
	if err != nil {
		return "", err
	}
	listen := httpAddresses(all["ready"], defaultReady)
	if len(listen) == 0 {
		return "", fmt.Errorf("%s has no directive ready: add one, or give --url", path)
	}
	return listen[0], nil
}

// probe gets url and returns nil if the answer is 200.
func probe(ctx context.Context, url string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usagef("%w", err)
	}
	// A proxy from the environment is for the world outside, not for this machine.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(response.Body, 512))
		return fmt.Errorf("not ready: %s: %s", response.Status, strings.TrimSpace(string(why)))
	}
	return nil
}

// localURL is http://HOST:PORT for a listen address as this machine reaches it.
// Option is where the address was given.
func localURL(option, listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", usagef("%s %q is not HOST:PORT: %w", option, listen, err)
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}
