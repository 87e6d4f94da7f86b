// Package interop holds the tests of stampdns among other people's servers:
// resolvers that find the stamp by delegation, reach it by every other way, or by
// mistake do not; servers that the stamp forwards to, sound and impaired; servers
// that serve the same zones and must answer alike; checkers that must accept our
// zone files; and clients that send odd queries.
//
// Each server runs in a network namespace of its own, with its own address and
// port 53; the tests make the namespaces and remove them. They need root and
// the packages that .ci/install installs, so they have a build tag (what makes
// the zones of TestDifferential, compares and shrinks has none: it is tested
// without servers, too):
//
//	make interop                                  # all
//	.ci/interop -test.run Oracle -test.v          # some
//	go test -tags interop ./interop               # as root, without the script
//	.ci/interop -test.run Differential -seed 0 -for 1h -test.timeout 2h
//
// A test that cannot run fails and says what is missing; none is passed over.
package interop
