//go:build unix

package main

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// commandVar makes the test binary be the command.
const commandVar = "TEST_AS_COMMAND"

// TestMain lets a test run the command as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv(commandVar) != "" {
		main()
	}
	os.Exit(m.Run())
}

// TestNobodyReads: the reader of stdout and stderr goes, and the server stays;
// the lines of the query log that are lost are counted.
func TestNobodyReads(t *testing.T) {
	cmd := exec.Command(os.Args[0], append([]string{"serve", "--log", "all"}, free...)...)
	cmd.Env = append(os.Environ(), commandVar+"=1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	r := &running{t: t}
	lines := bufio.NewScanner(stdout)
	for len(r.digLines()) < 2 && lines.Scan() {
		r.stdout += lines.Text() + "\n"
	}
	if len(r.digLines()) < 2 {
		text, _ := io.ReadAll(stderr)
		t.Fatalf("no summary: %s", text)
	}
	stdout.Close()
	stderr.Close()
	metrics := regexp.MustCompile(`http://\S+/metrics`).FindString(r.stdout)
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if reply := r.dig(r.digLines()[0]); len(reply.Answer) != 1 {
			t.Fatalf("no answer: %v", reply)
		}
		if dropped := regexp.MustCompile(`(?m)^stampdns_log_dropped_total [1-9]`); dropped.MatchString(get(t, metrics)) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no line of the log was counted as dropped")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve ended with %v", err)
	}
}

// get is what url answers.
func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestSecondSignal: the server waits as its Corefile says, and a second signal
// ends the wait with exit code 1.
func TestSecondSignal(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "Corefile")
	text := ".:0 {\n bind 127.0.0.1\n stamp\n health 127.0.0.1:0 {\n lameduck 1h\n }\n}\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r := serve(t, nil, "--conf", conf)
	r.signal(syscall.SIGTERM)
	r.await("answering on")
	r.signal(syscall.SIGTERM)
	select {
	case code := <-r.exit:
		if want := "stampdns: stopped before all queries were answered: a second signal\n"; code != exitFailed || !strings.HasSuffix(r.stderr.String(), want) {
			t.Errorf("exit code %d, stderr %q", code, r.stderr)
		}
	case <-time.After(patience):
		t.Fatal("serve did not end")
	}
}

// await waits until stderr has text in it.
func (r *running) await(text string) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(r.stderr.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("stderr lacks %q", text)
		}
	}
}

// stampPipe gives a stamp file through a pipe, once. Where its domain is north.…,
// one of its endpoints is elsewhere, which is a warning.
func stampPipe(t *testing.T, args ...string) string {
	t.Helper()
	var info, stderr bytes.Buffer
	if code := run(append([]string{"stampinfo"}, args...), nil, &info, &stderr, nil); code != 0 {
		t.Fatal(&stderr)
	}
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		if w, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			w.Write(bytes.Replace(info.Bytes(), []byte("https://portal.north.north."), []byte("https://portal.south."), 1))
			w.Close()
		}
	}()
	return path
}

// TestStampFromPipe: a pipe is read once, and what it said is in the Corefile,
// whatever serve is to do.
func TestStampFromPipe(t *testing.T) {
	text := printConf(t, "--stamp", stampPipe(t, "--region", "north", "--label", "web01=192.0.2.90"), "--ttl", "60")
	for _, want := range []string{"    stamp {\n", " region north\n", " label web01 192.0.2.90\n", " ttl 60\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the Corefile lacks %q:\n%s", want, text)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := run([]string{"serve", "--check", "--stamp", stampPipe(t)}, nil, &stdout, &stderr, nil); code != 0 {
		t.Errorf("--check: exit code %d: %s", code, &stderr)
	}
	file := stampPipe(t, "--region", "north", "--domain", "north.example.local")
	r := serve(t, loopback(), append([]string{"--stamp", file}, free...)...)
	r.stop()
	if !strings.Contains(r.stdout, "portal.north.north.example.local") {
		t.Errorf("the pipe's stamp is not served:\n%s", r.stdout)
	}
	for _, warning := range []string{"has the region twice", "lies below .local", "TenantPortal is at portal.south."} {
		if n := strings.Count(r.stderr.String(), warning); n != 1 {
			t.Errorf("stderr has %q %d times, want once", warning, n)
		}
	}
}
