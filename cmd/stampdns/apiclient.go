package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// defaultAPI is where the API of a server on this machine is unless told
// otherwise.
const defaultAPI = "127.0.0.1:8053"

// apiBase is the path that the API's own paths are below.
const apiBase = "/api/v1"

// What the commands bear from a server.
const (
	apiPatience  = 10 * time.Second
	apiMostBytes = 16 << 20 // of a response
	apiMostToken = 4 << 10  // bytes of a token file
)

// apiFormats are the ways that the verbs over the API write what they got.
var apiFormats = [...]string{"table", "json"}

// apiFlags are the options that say where the API is, the same for each verb
// that speaks to a running server.
type apiFlags struct {
	command                    *command
	cmd                        *cobra.Command
	address, tokenFile, caFile string
	// output is one of apiFormats, where the verb has the option.
	output string
	// patience is how long a call may take.
	patience time.Duration
}

// add gives cmd the flags.
func (a *apiFlags) add(c *command, cmd *cobra.Command) {
	a.command, a.cmd, a.patience = c, cmd, apiPatience
	f := cmd.Flags()
	f.StringVar(&a.address, "api", defaultAPI, "`ADDRESS` of the server's API, a URL or HOST:PORT")
	f.StringVar(&a.tokenFile, "api-token-file", "", "`FILE` with the token that the API wants")
	f.StringVar(&a.caFile, "api-ca", "", "`FILE` with the certificates (PEM) to trust at the API, in place of the system's")
}

// given says whether the user has set the flag, or its variable.
func (a *apiFlags) given(flag string) bool {
	f := a.cmd.Flags().Lookup(flag)
	return f.Changed || a.command.fromEnvironment(f)
}

// addOutput gives cmd the flag for the form of its output.
func (a *apiFlags) addOutput() {
	a.cmd.Flags().StringVarP(&a.output, "output", "o", apiFormats[0], "`FORMAT`: "+strings.Join(apiFormats[:], ", "))
	complete(a.cmd, "output", apiFormats[:]...)
}

// write prints what the API said: as it is, or by table.
func (a *apiFlags) write(raw json.RawMessage, table func() error) error {
	if a.output != "json" {
		return table()
	}
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", "  "); err != nil {
		return err
	}
	text.WriteByte('\n')
	_, err := text.WriteTo(a.command.stdout)
	return err
}

// call asks the API and decodes its answer into out; it returns the answer as
// it came, too. In is the body to send, nil for none; out is nil where no answer
// is wanted, and an answer of status 204 is none. Parts of path that come from the user are escaped already.
func (a *apiFlags) call(method, path string, in, out any) (json.RawMessage, error) {
	if a.output != "" {
		if err := oneOf("output", a.output, apiFormats[:]); err != nil {
			return nil, err
		}
	}
	client, err := a.client()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(a.cmd.Context(), a.patience)
	defer cancel()
	raw, err := client.call(ctx, method, path, in)
	if err != nil || len(raw) == 0 || out == nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return nil, fmt.Errorf("%s%s%s answered what no stampdns would: %w", client.base, apiBase, path, err)
	}
	return raw, nil
}

// apiClient is a way to one API.
type apiClient struct {
	base  string // URL without a path of the API
	token string // empty for none
	// tokenFile is where token was read.
	tokenFile string
	http      *http.Client
}

// client follows the flags. It warns where the token would be readable on its
// way.
func (a *apiFlags) client() (*apiClient, error) {
	base, err := a.base()
	if err != nil {
		return nil, err
	}
	client := &apiClient{base: strings.TrimSuffix(strings.TrimSuffix(base.String(), "/"), apiBase), tokenFile: a.tokenFile}
	transport := &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}
	here := isLoopback(base.Hostname())
	if here {
		// A proxy from the environment is for the world outside, not for this machine.
		transport.Proxy = nil
	}
	if a.caFile != "" {
		if transport.TLSClientConfig, err = trust(a.caFile); err != nil {
			return nil, fmt.Errorf("%s: %w", a.command.origin(a.cmd, "api-ca"), err)
		}
	}
	if a.tokenFile != "" {
		if client.token, err = readToken(a.tokenFile); err != nil {
			return nil, fmt.Errorf("%s: %w", a.command.origin(a.cmd, "api-token-file"), err)
		}
		if base.Scheme == "http" && !here {
			a.command.note("warning: the token goes to %s over plain HTTP, where others can read it: give the server a certificate, and --api https://%[1]s", base.Host)
		}
	}
	client.http = &http.Client{
		Transport: transport,
		// Where a redirect leads, the token must not go.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client, nil
}

// base is the API's URL. HOST:PORT is what serve takes, which may be a wildcard;
// it means HTTPS if certificates are given.
func (a *apiFlags) base() (*url.URL, error) {
	option := a.command.origin(a.cmd, "api")
	text := a.address
	if text == off {
		return nil, usagef("%s is off: give the URL of a server whose API is on", option)
	}
	if !strings.Contains(text, "://") {
		local, err := localURL(option, text)
		if err != nil {
			return nil, usagef("%s %q is neither a URL nor HOST:PORT", option, text)
		}
		if text = local; a.caFile != "" {
			text = "https" + strings.TrimPrefix(local, "http")
		}
	}
	base, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, usagef("%s %q is no URL: write http://HOST:PORT", option, a.address)
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, usagef("%s %q: the API speaks http and https", option, a.address)
	case base.Hostname() == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, usagef("%s %q is not http://HOST:PORT", option, a.address)
	}
	return base, nil
}

// isLoopback says whether what is sent to host stays on this machine.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// readToken reads a token file: the token and blank space around it.
func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, apiMostToken+1))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	switch {
	case len(text) > apiMostToken:
		return "", fmt.Errorf("%s has more than %d bytes: want the token alone", path, apiMostToken)
	case token == "":
		return "", fmt.Errorf("%s is empty: want the token", path)
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", fmt.Errorf("%s has more than a token, or one that no header can carry: want it alone, in ASCII", path)
	}
	return token, nil
}

// trust is TLS that trusts the certificates in a file and no others.
func trust(path string) (*tls.Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate: want PEM", path)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// request is one to the API, with all that it wants to see.
func (a *apiClient) request(ctx context.Context, method, path string, in any) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, a.base+apiBase+path, body)
	if err != nil {
		return nil, usagef("%w", err)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "stampdns/"+thisBuild().version)
	if method != http.MethodGet {
		request.Header.Set("Content-Type", "application/json")
	}
	if a.token != "" {
		request.Header.Set("Authorization", "Bearer "+a.token)
	}
	return request, nil
}

// call sends one request and returns the body of its answer, which is JSON. An
// answer that says no is an error.
func (a *apiClient) call(ctx context.Context, method, path string, in any) (json.RawMessage, error) {
	request, err := a.request(ctx, method, path, in)
	if err != nil {
		return nil, err
	}
	response, err := a.http.Do(request)
	if err != nil {
		return nil, a.unanswered(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, apiMostBytes+1))
	switch {
	case err != nil:
		return nil, a.unanswered(err)
	case len(text) > apiMostBytes:
		return nil, fmt.Errorf("%s%s%s answered more than %d MiB", a.base, apiBase, path, apiMostBytes>>20)
	case response.StatusCode == http.StatusNoContent:
		return nil, nil
	}
	if err := a.refused(response, text); err != nil {
		return nil, err
	}
	if !isJSON(response) {
		return nil, fmt.Errorf("%s%s%s answered something other than JSON: is it the API of a stampdns?", a.base, apiBase, path)
	}
	return text, nil
}

// refusal is an error that the server tells of in its own words.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// isJSON says whether the server calls its answer JSON.
func isJSON(response *http.Response) bool {
	media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	return err == nil && media == "application/json"
}

// refused is the error of an answer that is none of success, with the server's
// own words where it has some. That a request is wrong is the command line's
// fault.
func (a *apiClient) refused(response *http.Response, body []byte) error {
	status := response.StatusCode
	var said struct {
		Error string `json:"error"`
	}
	if isJSON(response) {
		// What is no such object says nothing.
		_ = json.Unmarshal(body, &said)
	}
	said.Error = printable(said.Error)
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusUnauthorized && a.token == "":
		return fmt.Errorf("the API at %s wants a token: give --api-token-file FILE", a.base)
	case status == http.StatusUnauthorized:
		return fmt.Errorf("the API at %s does not take the token in %s: give --api-token-file the server's", a.base, a.tokenFile)
	case status == http.StatusBadRequest && said.Error != "":
		return usagef("%s", said.Error)
	case said.Error != "":
		return &refusal{status, said.Error}
	case status < 400:
		return fmt.Errorf("%s sends us on to %q: give that as --api if it is a stampdns", a.base, response.Header.Get("Location"))
	case strings.Contains(string(body), "HTTP request to an HTTPS server"):
		return fmt.Errorf("the API at %s speaks HTTPS: give --api https://%s", a.base, strings.TrimPrefix(a.base, "http://"))
	case status == http.StatusNotFound:
		return fmt.Errorf("%s has nothing at %s: is it the API of a stampdns, with a directive that serves this?", a.base, response.Request.URL.Path)
	}
	return fmt.Errorf("%s answered %s: is it the API of a stampdns?", a.base, printable(response.Status))
}

// unanswered is the error of a request that got no answer.
func (a *apiClient) unanswered(err error) error {
	if of := (*url.Error)(nil); errors.As(err, &of) {
		err = of.Err
	}
	var dial *net.OpError
	var authority x509.UnknownAuthorityError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &dial) && dial.Op == "dial":
		cause := dial.Err
		if call := (*os.SyscallError)(nil); errors.As(cause, &call) {
			cause = call.Err
		}
		return fmt.Errorf("no stampdns answers at %s (%w): is it running, with its api on? give --api URL", a.base, cause)
	case errors.As(err, &authority):
		return fmt.Errorf("%s has a certificate that is not trusted (%w): give --api-ca FILE", a.base, authority)
	case errors.As(err, &plain), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return fmt.Errorf("%s does not speak HTTPS: give --api http://%s", a.base, strings.TrimPrefix(a.base, "https://"))
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer in time: is it a stampdns, and well?", a.base)
	}
	return fmt.Errorf("%s: %w", a.base, err)
}
