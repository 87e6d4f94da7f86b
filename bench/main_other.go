//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: it pins processes to cores and reads /proc: run it on Linux")
	os.Exit(1)
}
