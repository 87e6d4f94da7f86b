//go:build browser

package browser

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"
)

// chrome is the browser that all tests share; each has a tab of its own, with
// storage of its own.
var chrome context.Context

// screenshots is the folder that pictures of the page go to.
var screenshots = flag.String("screenshots", "../bin/screenshots", "the folder that pictures go to")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	for _, program := range []string{"chromium", "dig", "unbound"} {
		if _, err := exec.LookPath(program); err != nil {
			fmt.Fprintf(os.Stderr, "browser: %v: run .ci/install browser\n", err)
			return 1
		}
	}
	if os.Getenv("STAMPDNS") == "" {
		fmt.Fprintln(os.Stderr, "browser: STAMPDNS does not name the program to test: run .ci/browser")
		return 1
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"),
		chromedp.Flag("disable-gpu", true), chromedp.Flag("hide-scrollbars", true), chromedp.WindowSize(1440, 900))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's sandbox does not work for root
	}
	all, stop := chromedp.NewExecAllocator(context.Background(), options...)
	defer stop()
	var cancel context.CancelFunc
	chrome, cancel = chromedp.NewContext(all)
	defer cancel()
	if err := chromedp.Do(chrome); err != nil {
		fmt.Fprintf(os.Stderr, "browser: start Chromium: %v\n", err)
		return 1
	}
	return m.Run()
}
