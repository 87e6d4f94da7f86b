# stampdns: build and test. "make test" is the whole of it; "make help" lists the rest.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 5s
BIN      ?= bin
LDFLAGS  := -s -w -X main.version=$(VERSION)

ENGINE   ?= podman
# The OCI format has no health check, Docker's has.
IMAGE_FORMAT := $(if $(findstring podman,$(ENGINE)),--format docker)

export FUZZTIME

.NOTPARALLEL:
.PHONY: help build run build-static test check install unit lint race fuzz alerts browser interop container-test bench profile soak microbench man image clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

build: ## build bin/stampdns
	go build -trimpath -ldflags '-X main.version=$(VERSION)' -o $(BIN)/stampdns ./cmd/stampdns

run: ## serve the sample stamp
	go run ./cmd/stampdns serve

build-static: ## build bin/stampdns without C and symbols, as the image has it
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/stampdns ./cmd/stampdns

test: install unit lint race fuzz alerts browser interop container-test ## install what the tests need, then run every test (needs root for the last two)

check: test ## what CI runs: the same as test

install: ## install the Debian packages that the tests need
	@.ci/install

unit: ## the tests that need no package and no root
	go test ./...

lint: ## gofmt, vet, staticcheck, govulncheck, house rules
	@.ci/lint

race: ## the unit tests again, with the race detector
	CGO_ENABLED=1 go test -race -vet=off ./...

fuzz: ## each fuzz target for FUZZTIME
	@.ci/fuzz

alerts: ## the dashboard and the alerts, with Debian's promtool and Prometheus
	go test -count=1 -tags interop ./deploy/...

interop: ## run among other DNS servers and resolvers in network namespaces (root)
	@.ci/interop

browser: ## look at the status page with Chromium while dig and Unbound ask; pictures go to bin/screenshots
	@.ci/browser

container-test: ## build the image, run it, and query it from outside (root)
	@.ci/container-test

bench: ## measure us and our peers, about 25 minutes; needs two quiet cores (BENCH='-mix stamp' and the like)
	@.ci/install bench
	go run ./bench $(BENCH)

profile: ## write cmd/stampdns/default.pgo, the CPU profile that builds are guided by, anew: some three minutes
	@.ci/install bench
	go run ./bench -parts cpu -servers stampdns -rounds 1 -profile cmd/stampdns/default.pgo

soak: ## ten minutes of full load while all changes and some are hostile, every answer checked (SOAK='-for 30s' and the like)
	go run ./bench/soak $(SOAK)

microbench: ## the Go benchmarks of server and zones
	go test -run '^$$' -bench . -benchmem ./server/... ./zones/...

man: ## generate the man pages into docs/man
	go run ./cmd/stampdns man docs/man

image: build-static ## build the container image stampdns:VERSION, also tagged latest, with podman (ENGINE=docker for Docker)
	$(ENGINE) build $(IMAGE_FORMAT) --file deploy/container/Dockerfile --build-arg VERSION=$(VERSION) --tag stampdns:$(VERSION) --tag stampdns:latest $(BIN)

clean: ## remove what was built
	rm -rf $(BIN)
