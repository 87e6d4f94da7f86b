// Package browser holds the tests of the status page in a real browser: Debian's
// Chromium without a window looks at the page of the real program, while dig and
// two Unbounds ask it, one with stub zones and one that forwards.
//
// All is on loopback addresses, so the tests need no root. They need the packages
// that .ci/install installs, so they have a build tag:
//
//	make browser                               # all
//	.ci/browser -test.run Fault -test.v        # some
//
// Pictures of the page go to bin/screenshots. What the browser's console says, and
// what the Content-Security-Policy forbids, fails the test.
package browser
