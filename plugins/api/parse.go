package api

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/stampdns/stampdns/server"
)

// Bounds of a token's length. The first is what guessing needs, the other what
// HTTP headers have room for.
const (
	leastToken = 16
	mostToken  = 1024
)

// parse reads one occurrence of the directive, and what is to be said at the start.
func parse(d *server.Directive) (o server.APIOptions, warnings []string, err error) {
	args, err := d.Arguments(0, 1)
	if err != nil {
		return o, nil, err
	}
	o.Addr = DefaultAddress
	if len(args) == 1 {
		if o.Addr, err = d.Address(args[0]); err != nil {
			return o, nil, err
		}
	}
	for d.NextBlock() {
		switch what := d.Val(); what {
		case "token":
			var warning string
			if o.Token, warning, err = tokenProperty(d, o.Token != nil); warning != "" {
				warnings = append(warnings, warning)
			}
		case "tls":
			o.TLS, err = tlsProperty(d, o.TLS != nil)
		default:
			err = d.UnknownProperty("token", "tls")
		}
		if err != nil {
			return o, nil, err
		}
	}
	return o, warnings, nil
}

// tokenProperty reads token FILE.
func tokenProperty(d *server.Directive, again bool) (token []byte, warning string, err error) {
	args, err := d.Arguments(1, 1)
	if err != nil {
		return nil, "", err
	}
	if again {
		return nil, "", d.UsageErr("token stands twice")
	}
	path := d.Path(args[0])
	if token, warning, err = readToken(path); err != nil {
		return nil, "", d.Errf("token file %s: %w", path, err)
	}
	return token, warning, nil
}

// readToken reads the first line of the file at path.
func readToken(path string) (token []byte, warning string, err error) {
	file, err := os.Open(path)
	if err != nil {
		if pathErr, ok := errors.AsType[*os.PathError](err); ok {
			err = pathErr.Err
		}
		return nil, "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, "", err
	}
	if info.Mode().Perm()&0o004 != 0 && runtime.GOOS != "windows" {
		warning = fmt.Sprintf("every user of this machine may read the token file %s: chmod o-r", path)
	}
	line, err := bufio.NewReader(io.LimitReader(file, 2*mostToken)).ReadBytes('\n')
	if err != nil && err != io.EOF {
		return nil, "", err
	}
	token = bytes.TrimSpace(line)
	return token, warning, checkToken(token)
}

// checkToken says what is wrong with a token.
func checkToken(token []byte) error {
	switch {
	case len(token) < leastToken:
		return fmt.Errorf("its first line has %d characters: a token has %d or more, such as openssl rand -hex 32 prints",
			len(token), leastToken)
	case len(token) > mostToken:
		return fmt.Errorf("its first line is too long: a token has up to %d characters", mostToken)
	}
	for i, c := range token {
		if c <= ' ' || c > '~' {
			return fmt.Errorf("character %d of its first line can't be part of a token: take letters, digits and -._~+/=", i+1)
		}
	}
	return nil
}

// tlsProperty reads tls CERT KEY.
func tlsProperty(d *server.Directive, again bool) (*tls.Config, error) {
	args, err := d.Arguments(2, 2)
	if err != nil {
		return nil, err
	}
	if again {
		return nil, d.UsageErr("tls stands twice")
	}
	certificate, err := tls.LoadX509KeyPair(d.Path(args[0]), d.Path(args[1]))
	if err != nil {
		return nil, d.Errf("certificate %s with key %s: %w", args[0], args[1], err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}}, nil
}
