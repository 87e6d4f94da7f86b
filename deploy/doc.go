// Package deploy is what stands around a running server: the container image, the
// dashboard, the alerts, the PowerShell module. There is nothing to import; its tests
// hold the dashboard and the alerts against a server under traffic. Those that need
// promtool and Prometheus, which .ci/install installs, have the build tag interop:
//
//	go test ./deploy/...                    # metrics and labels, structure
//	make alerts                             # all, with promtool and a real Prometheus
package deploy
