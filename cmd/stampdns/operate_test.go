package main

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// operatePage is where the verbs over the API are explained.
const operatePage = "../../docs/operate.md"

// shellWords splits a command line as a shell does: blanks, and quotes of both
// kinds.
func shellWords(line string) []string {
	var words []string
	word, in, quote := "", false, rune(0)
	for _, r := range line + " " {
		switch {
		case r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '\'' || r == '"':
			quote, in = r, true
		case r == ' ':
			if in {
				words = append(words, word)
			}
			word, in = "", false
		default:
			word, in = word+string(r), true
		}
	}
	return words
}

// TestOperatePage runs each command line of docs/operate.md, those of curl
// too, against an API that is strict.
func TestOperatePage(t *testing.T) {
	if n := runPage(t, operatePage); n < 20 {
		t.Errorf("only %d command lines", n)
	}
}

// TestDelegationPage runs each command line of docs/delegation.md.
func TestDelegationPage(t *testing.T) {
	if n := runPage(t, "../../docs/delegation.md"); n < 15 {
		t.Errorf("only %d command lines", n)
	}
}

// anyNumber of requests, but at least one, is what some verbs send.
const anyNumber = -1

// runPage runs the command lines of a page. It returns how many there are.
func runPage(t *testing.T, file string) int {
	t.Helper()
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	api := newFakeAPI(t, "")
	base := api.serve()
	lines := regexp.MustCompile(`(?m)^ +(stampdns|curl) .*$`).FindAllString(string(page), -1)
	for _, line := range lines {
		words := shellWords(strings.TrimSpace(line))
		before, want, asks := len(api.asked()), exitOK, 1
		switch {
		case words[0] == "curl":
			curl(t, base, words[1:])
			words = nil
		case words[1] == "top": // asks again and again: how often does not matter
			words, asks = append(words, "--interval", minInterval.String()), anyNumber
		case words[1] == "serve":
			words, asks = append(words, "--print-conf"), 0
		case words[1] == "probe":
			words[slices.Index(words, "--resolver")+1] = serveResolver(t, "delegated", api)
			asks = anyNumber
		case slices.Contains(words, "--never"), slices.Contains(words, "--fail-on"):
			// The API has what these lines are against.
			want = exitFailed
		}
		if words != nil {
			if code, stdout, stderr := runAgainst([]string{"STAMPDNS_API=" + base}, words[1:]...); code != want {
				t.Errorf("%s\nexits with %d: %s%s", line, code, stdout, stderr)
			}
		}
		asked := len(api.asked()) - before
		if asks == anyNumber && asked == 0 || asks != anyNumber && asked != asks {
			t.Errorf("%s\nasks the server %d times", line, asked)
		}
	}
	return len(lines)
}

// curl makes the request that the program would, of base.
func curl(t *testing.T, base string, words []string) {
	t.Helper()
	method, body, header := http.MethodGet, "", http.Header{}
	var at *url.URL
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "-X":
			i++
			method = words[i]
		case "-d":
			i++
			body = words[i]
		case "-H":
			i++
			name, value, _ := strings.Cut(words[i], ": ")
			header.Set(name, value)
		default:
			rest, ok := strings.CutPrefix(words[i], "http://"+defaultAPI)
			if !ok {
				t.Fatalf("curl asks %s", words[i])
			}
			var err error
			if at, err = url.Parse(base + rest); err != nil {
				t.Fatal(err)
			}
		}
	}
	response, err := http.DefaultClient.Do(&http.Request{Method: method, URL: at, Header: header, Body: io.NopCloser(strings.NewReader(body))})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		t.Errorf("curl %q: %s", words, response.Status)
	}
}

// TestOperatePageIsComplete looks for each verb over the API, its options, each
// cmdlet and each request in docs/operate.md.
func TestOperatePageIsComplete(t *testing.T) {
	text, err := os.ReadFile(operatePage)
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for _, cmd := range commands(root()) {
		if cmd.Flags().Lookup("api") != nil && cmd.Name() != "serve" && !strings.Contains(page, "    "+cmd.CommandPath()) {
			t.Errorf("no %s", cmd.CommandPath())
		}
	}
	for _, want := range []string{"--api ADDRESS", "--api-token-file FILE", "--api-ca FILE", "--json", "-o json"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, cmdlet := range pepCmdlets() {
		if !strings.Contains(page, cmdlet.name) {
			t.Errorf("no %s", cmdlet.name)
		}
	}
}
