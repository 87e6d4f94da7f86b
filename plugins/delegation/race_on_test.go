//go:build race

package delegation

// raceEnabled says that the race detector slows everything down.
const raceEnabled = true
