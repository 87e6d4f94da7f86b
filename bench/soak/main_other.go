//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "soak: it reads /proc: run it on Linux")
	os.Exit(1)
}
