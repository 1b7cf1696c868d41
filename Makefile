# Assay. `make build` needs Go alone; `make test` also installs the real clients that the tests drive (see testdata/tools.sh).
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS     := -s -w -X main.version=$(VERSION)
# One way to compile for builds and tests alike, so that they share the build cache. Only the race detector needs cgo.
export CGO_ENABLED := 0
export GOFLAGS     := $(shell $(GO) env GOFLAGS) -trimpath
TOOLS       := $(CURDIR)/.cache/bin
TESTFLAGS   ?= -timeout 20m
export PATH := $(TOOLS):$(PATH)

.DEFAULT_GOAL := build
.PHONY: build run test test-k8s test-long bench lint tools conformance clean

build: ## stripped bin/assay and bin/assay-sbom
	$(GO) build -ldflags "$(LDFLAGS)" -o bin/assay ./cmd/assay
	$(GO) build -ldflags "$(LDFLAGS)" -o bin/assay-sbom ./cmd/assay-sbom

run: build ## serves ./data on 127.0.0.1:5000
	./bin/assay serve

tools: ## installs what the tests drive: Debian packages (as root) and pinned programs in .cache/bin
	testdata/tools.sh

lint: tools ## format, vet, staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	  if [ -n "$$unformatted" ]; then echo "gofmt -w these files:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	staticcheck ./...

test: lint ## everything that a change must pass; the last pass is the race detector: the gate, and every test that links no big library
	$(GO) test $(TESTFLAGS) ./...
	for bug in 1 2 3; do $(GO) test -tags planted$$bug -run '^TestLinearizability$$' ./policy; done # the model has to find each
	CGO_ENABLED=1 ASSAY_TEST_RACE=1 $(GO) test $(TESTFLAGS) -count=1 -run '^TestQuickstart$$/^cosign2$$' ./cmd/assay
	CGO_ENABLED=1 $(GO) test $(TESTFLAGS) -race $$(testdata/light.sh) ./policy

test-k8s: ## a real Kubernetes API server and etcd ask the registry; Gatekeeper's own client asks the provider; helm renders the chart
	testdata/tools-k8s.sh
	$(GO) vet -tags k8s ./cmd/assay ./deploy
	$(GO) test $(TESTFLAGS) -count=1 -tags k8s -run '^TestKubernetes$$' ./cmd/assay
	$(GO) test $(TESTFLAGS) -count=1 -tags k8s ./deploy
	$(GO) test -C testdata/gatekeeper $(TESTFLAGS) -count=1 ./...

test-long: lint test-k8s ## the same with every long run: 1,000 kills, 60,000 operations, an index of 100,000 images, fuzzing for a minute each
	ASSAY_TEST_LONG=1 $(GO) test -timeout 3h -count=1 -skip '^TestOnDisk$$' ./...
	ASSAY_TEST_LONG=1 $(GO) test -timeout 2h -count=1 -v -run '^TestOnDisk$$' ./sbom/index
	testdata/fuzz.sh 60s

bench: build ## Go benchmarks: six runs each, for benchstat
	$(GO) test -run '^$$' -bench . -benchmem -count 6 $$(testdata/light.sh) ./policy/... ./server/...
	$(GO) test -run '^$$' -bench 'BenchmarkRealistic|BenchmarkPush' -benchtime 1x -timeout 30m ./cmd/assay-sbom # the floor and stock syft beside the worker; a push, from end to end

# The suite is no part of this repository: OCI_CONFORMANCE names the folder "conformance" of a checkout of opencontainers/distribution-spec.
conformance: ## runs the OCI conformance suite, open and enforced, versions 1.1 and dev
	@[ -n "$${OCI_CONFORMANCE:-}" ] || { echo "set OCI_CONFORMANCE to the folder 'conformance' of a checkout of opencontainers/distribution-spec"; exit 1; }
	$(GO) test $(TESTFLAGS) -count=1 -v -run '^TestConformance$$' ./cmd/assay

clean: ## removes what make build and make tools made
	rm -rf bin .cache
