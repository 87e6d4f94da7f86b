//go:build !linux

package server

// canRefuse says whether the system can refuse connections to a socket's address.
const canRefuse = false

func stopListening(uintptr) error { return nil }

func listenAgain(uintptr) error { return nil }
