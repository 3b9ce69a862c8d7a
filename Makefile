# SPDX-License-Identifier: Apache-2.0
#
#   make demo    a real .env becomes real Secrets in a real API server, here
#   make test    everything that proves it

SHELL   := /bin/bash
MODULES := . decrypt hack/localkube/tools hack/lint hack/krew

# FUZZTIME is for each fuzz target, PLANTIME for the planner's; without UPDATE_TRUST make trust compares; KUBE runs a command beside a fresh control plane.
FUZZTIME ?= 30s
PLANTIME ?= 10m
UPDATE_TRUST ?= 1
KUBE     := bin/localkube run --
# What is vetted and not run: nothing of macOS runs here, and of windows/amd64 only the programs, under Wine.
PLATFORMS := darwin/amd64 darwin/arm64 windows/amd64
# One way to compile, of builds, vet, lint and tests: what one has compiled, the others find. Of debug information, which
# the linker drops from programs anyway (-s -w), the compiler makes none: that takes about a tenth less.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -gcflags=all=-dwarf=false
GO_BUILD := go build -ldflags '-s -w'
# Compilers that collect garbage later take a tenth less time, and the hundreds of kubectls of the tests a third; the limit
# keeps each small enough for any machine.
export GOGC := 400
export GOMEMLIMIT := 1GiB
# Some modules are tool lines alone.
HAS_CODE := find . -name '*.go' -print -quit | grep -q .

.PHONY: build docs verify-docs verify-deps localkube demo demo-rotate test test-windows sweep trust mutate unit vet vet-platforms lint tidy-check bench fuzz fuzz-plan dist clean tools

build: ## the plugin, into bin/
	@[ -e bin/kubectl-fernet ] || echo "kubectl-fernet: building, which takes about 1 minute the first time" >&2
	@$(GO_BUILD) -o bin/kubectl-fernet ./cmd/kubectl-fernet

localkube: ## a control plane, kubectl and kwok's fake node from Go modules, into bin/
	@hack/localkube/build.sh

demo: build ## push the two entries of testdata/original.env into a real API server, built or installed
	@hack/localkube/build.sh --installed etcd kube-apiserver kubectl
	@$(GO_BUILD) -o bin/demo-open ./hack/demo/open
	@hack/demo/demo.sh

demo-rotate: build localkube ## rotate under a running Deployment while a reader opens what its pods have
	@$(GO_BUILD) -o bin/demo-reader ./hack/demo/reader
	@hack/demo/rotate.sh

test: tools build localkube vet ## everything: all modules, one control plane, race detector, interop
	@hack/test.sh

test-windows: build localkube ## the programs for Windows, under Wine: scripts of testdata/script, testdata/windows, the archive
	@hack/test-windows.sh

sweep: tools build localkube ## kill -9 before and after each request and each file call of the writing verbs
	@set -o pipefail; $(KUBE) go test -timeout 45m -parallel 4 -run '^TestSweep' -v ./cmd/kubectl-fernet | grep -vE '^ *(=== |--- PASS)'

trust: tools build localkube ## every fault, outage, right and leak that docs/trust.md counts; writes its tables
	@UPDATE_TRUST=$(UPDATE_TRUST) $(KUBE) go test -timeout 30m -parallel 4 -run '^TestTrust' ./cmd/kubectl-fernet
	@git diff --stat -- docs
	@[ "$$(id -u)" = 0 ] || echo "LEFT OUT (not root): TestTrustFullDisk, which mounts; CI runs it"

mutate: build localkube ## break each promise on purpose, and see its test turn red
	@$(KUBE) go run ./hack/mutate

tools: ## what the tests need beside Go, installed where it may be
	@hack/test-tools.sh

vet:
	@for m in $(MODULES); do ( cd $$m && $(HAS_CODE) || exit 0; go vet ./... ) || exit 1; done

vet-platforms: ## vet, which compiles all code and tests, for macOS and Windows
	@set -e; for p in $(PLATFORMS); do for m in . decrypt; do ( cd $$m && GOOS=$${p%/*} GOARCH=$${p#*/} go vet ./... ); done; echo "vet $$p: ok"; done

lint: ## golangci-lint in every module
	@hack/lint/lint.sh $(MODULES)

docs: ## docs/cli, docs/man and docs/findings.md from the code
	@go run ./hack/docs && UPDATE_DOCS=1 go test ./internal/finding

verify-docs: ## fail when they are not up to date
	@go run ./hack/docs -check && go test ./internal/finding

tidy-check: ## fail when a go.mod or go.sum is not tidy
	@for m in $(MODULES); do ( cd $$m && go mod tidy -diff ) || exit 1; done

verify-deps: ## fail when a downloaded module is not the one that go.sum names
	@for m in $(MODULES); do ( cd $$m && go mod verify ) || exit 1; done

bench: build localkube ## figures beside kubectl and a bare client-go loop
	@go build -o bin/bench ./hack/bench && env -u GOGC -u GOMEMLIMIT $(KUBE) bin/bench
	@cd decrypt && env -u GOGC -u GOMEMLIMIT go test -run '^$$' -bench . ./...

fuzz: ## every fuzz target for FUZZTIME
	@for m in . decrypt; do hack/fuzz.sh $(FUZZTIME) $$m ./... '^Fuzz' || exit 1; done

fuzz-plan: ## FuzzWalk, the walks of people whose steps the fuzzer chooses, for PLANTIME
	@hack/fuzz.sh $(PLANTIME) . ./internal/action '^FuzzWalk$$'

dist: ## release archives, checksums and the krew manifest, into dist/
	@go run ./hack/dist

clean: ## bin/ and dist/
	@rm -rf bin dist
