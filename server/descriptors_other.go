//go:build !unix

package server

// descriptorLimit says that there is none: memory bounds handles.
func descriptorLimit() (n uint64, limited bool) { return 0, false }
