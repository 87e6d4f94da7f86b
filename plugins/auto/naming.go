package auto

import "strings"

// naming finds the zone's name in a file's name.
type naming func(file string) (zone string, ok bool)

// defaultNaming knows the three common ways to name a zone's file: db.ZONE, as
// BIND's and CoreDNS's manuals do, ZONE.zone and ZONE.db.
func defaultNaming(file string) (zone string, ok bool) {
	if zone, ok = strings.CutPrefix(file, "db."); ok {
		return zone, zone != ""
	}
	if zone, ok = strings.CutSuffix(file, ".zone"); ok {
		return zone, zone != ""
	}
	zone, ok = strings.CutSuffix(file, ".db")
	return zone, ok && zone != ""
}

// leftover says that a file is hidden, or what an editor, a package manager or a
// name server left beside the file that counts.
func leftover(file string) bool {
	if file[0] == '.' || file[0] == '#' {
		return true
	}
	for _, end := range []string{
		"~", ".bak", ".old", ".orig", ".rej", ".swp", ".swx", ".tmp", ".jnl",
		".rpmnew", ".rpmsave", ".rpmorig", ".dpkg-new", ".dpkg-old", ".dpkg-dist", ".dpkg-tmp",
	} {
		if strings.HasSuffix(file, end) {
			return true
		}
	}
	return false
}
