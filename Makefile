# make help lists the targets. Beside this checkout, recipes write to Go's own
# caches and to CACHE only; a Docker engine, where one is needed and none can
# be reached, is a private one that tools/testenv starts and stops.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PREFIX ?= /usr/local
DESTDIR ?=
CACHE := $(or $(CONSIGN_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/consign)
PROGRAMS := publisher agent auditor applier-compose applier-helm
# Further arguments for "go test", such as ARGS='-run TestSync -count=1 ./internal/agent'.
ARGS ?= $(if $(filter cluster,$(PART)),$(CLUSTER_PACKAGES),$(if $(filter plain,$(PART)),$(PLAIN_PACKAGES),./...))
# PART=plain leaves out what tests with a Kubernetes, PART=cluster the rest: both
# together are all tests. So the Kubernetes can be built meanwhile.
PLAIN_PACKAGES = $(filter-out $(CLUSTER_PACKAGES:./%=github.com/consign-dev/consign/%),$(shell go list ./...))
# How long "make soak" repeats the tests, and how long it fuzzes each target
# ("make fuzz": 2m).
SOAK ?= 30m
FUZZTIME ?= 10m

CGO_ENABLED ?= 0
export CGO_ENABLED
# gRPC, which sigstore-go brings along, is not traced: that takes HTML templates.
TAGS := grpcnotrace
# The parser of conditions is not inlined into itself: that takes 0.7 MB, and they
# are short.
SMALL := -gcflags=cel.dev/cel-go/...=-l -gcflags=github.com/antlr4-go/antlr/v4=-l
# Nothing that is built here is linked with what debuggers read, so it is not compiled
# either: a quarter of Go's cache.
BARE := -gcflags=all=-dwarf=false
# One way to compile for programs, tests and checks: what one of them has built is
# in Go's cache for the others.
FLAGS := -trimpath -tags=$(TAGS) $(BARE) $(SMALL)
export GOFLAGS := $(strip $(filter-out $(FLAGS),$(GOFLAGS)) $(FLAGS))
export CONSIGN_CACHE := $(CACHE)
export CONSIGN_BIN := $(CURDIR)/bin
export STATICCHECK_CACHE := $(CACHE)/staticcheck

# The commit, and its time, which is a floor under a device's clock, are stamped
# into the programs where git can tell them: not before the first commit, nor in
# a checkout that belongs to somebody else (sudo make).
BUILD_TIME = $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)
VCS = $(shell git rev-parse --verify --quiet HEAD >/dev/null 2>&1 && echo true || echo false)
# The programs of others that tests run. Each is assigned first: an export would
# hide that a build failed.
TOOLS = interop="$$(tools/tool.sh interop)"; conformance="$$(tools/tool.sh conformance)"; registry="$$(tools/tool.sh registry)"; sigstore="$$(tools/tool.sh sigstore)"; \
	export CONSIGN_INTEROP_BIN="$$interop" CONSIGN_CONFORMANCE_BIN="$$conformance" CONSIGN_REGISTRY_BIN="$$registry" CONSIGN_SIGSTORE_BIN="$$sigstore"
VET = go vet -vettool="$$(tools/tool.sh lint)/vet"
SIGSTORE = sigstore="$$(tools/tool.sh sigstore)"; export CONSIGN_SIGSTORE_BIN="$$sigstore"
# cosign is a matter of minutes to build, so no test that "make test" runs needs it.
COSIGN = cosign="$$(tools/tool.sh cosign)"; export CONSIGN_COSIGN_BIN="$$cosign"
# Vault is a matter of minutes to build, too, and so are the clients of every cloud.
KMS = kms="$$(tools/tool.sh kms)"; export CONSIGN_KMS_BIN="$$kms"
ENGINE = go run ./tools/testenv engine run --dir "$(CACHE)" --
KUBE = kube="$$(tools/tool.sh kube)"; helm="$$(tools/tool.sh helm)"; export CONSIGN_KUBE_BIN="$$kube" CONSIGN_HELM_BIN="$$helm"
CLUSTER = go run ./tools/testenv cluster run --dir "$(CACHE)" --
# What tests with a Kubernetes: without these, and without a pattern of packages, a
# narrowed run neither builds nor starts one.
CLUSTER_PACKAGES := ./internal/apply/applytest/kubernetes ./internal/apply/helm/cluster ./internal/kubetest ./internal/world/cells ./internal/world/helmcli ./tools/testenv
needs_cluster = $(or $(findstring ...,$(ARGS)),$(filter $(CLUSTER_PACKAGES),$(ARGS)))

# What "make release" builds for, as GOARCH or GOARCH-GOARM.
RELEASE := amd64 arm64 arm-7

.PHONY: help build install release check test mutants goldens kubebox cluster pkcs11 publisher-pkcs11 kms publisher-kms demo demo-compose bench fuzz soak interop clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "cache: $(CACHE) (set CONSIGN_CACHE to move it)"

build: ## build the programs, static and stripped, into bin/
	@mkdir -p bin
	go build $(FLAGS) -buildvcs=$(VCS) -ldflags '-s -w -X main.buildTime=$(BUILD_TIME)' -o bin/ $(PROGRAMS:%=./cmd/%)

release: ## build the programs for amd64, arm64 and armv7 into dist/, with checksums
	@rm -rf dist
	@for p in $(RELEASE); do \
		echo "release: linux $$p"; \
		GOOS=linux GOARCH=$${p%-*} GOARM=$${p##*-} go build $(FLAGS) -buildvcs=$(VCS) -ldflags '-s -w -X main.buildTime=$(BUILD_TIME)' \
			-o "dist/linux-$${p/arm-/armv}/" $(PROGRAMS:%=./cmd/%); \
	done
	@cd dist && sha256sum */* >SHA256SUMS && cat SHA256SUMS

# Agent and publisher find appliers beside their own binary and nowhere else, so
# they share a directory that is on nobody's PATH; bin/ has links to the two.
install: ## install the programs and systemd units under DESTDIR and PREFIX (after make build)
	@for p in $(PROGRAMS); do test -x bin/$$p || { echo "bin/$$p is missing: run 'make build' first" >&2; exit 1; }; done
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/lib/consign' '$(DESTDIR)$(PREFIX)/lib/systemd/system'
	install -m 0755 bin/auditor '$(DESTDIR)$(PREFIX)/bin/'
	install -m 0755 bin/agent bin/publisher bin/applier-compose bin/applier-helm '$(DESTDIR)$(PREFIX)/lib/consign/'
	for p in agent publisher; do ln -sfn ../lib/consign/$$p '$(DESTDIR)$(PREFIX)/bin/'$$p; done
	for u in packaging/systemd/*.service packaging/systemd/*.socket packaging/systemd/*.timer; do \
		sed 's|/usr/local|$(PREFIX)|g' "$$u" >'$(DESTDIR)$(PREFIX)/lib/systemd/system/'"$${u##*/}"; \
	done
	chmod 0644 '$(DESTDIR)$(PREFIX)'/lib/systemd/system/consign-*

# tools/sigstore is left out: what tidy makes of it differs with the module proxy,
# since a test of Fulcio's, which is neither built nor run here, imports a module
# that not all of them serve. tools/cosign, tools/helm, tools/kube, tools/kms and
# cmd/publisher-kms are left out because tidy would fetch what the tests of every
# cloud's SDK, and those of Kubernetes, import. A build that is not tidy fails in
# tools/tool.sh, or in "make kms".
check: ## formatting, vet, staticcheck, tidy modules, import rules (no engine needed)
	@echo "check: gofmt"; files=$$(gofmt -l .); test -z "$$files" || { echo "run gofmt -w on:" $$files >&2; exit 1; }
	@echo "check: shell"; for f in .ci/run demo/*.sh tools/*.sh; do bash -n "$$f"; done
	@tools/tool.sh lint >/dev/null
	@echo "check: go vet"; $(VET) ./...; $(VET) -tags $(TAGS),faults ./internal/fault; $(VET) -tags $(TAGS),interop ./internal/world/keyless
	@echo "check: staticcheck"; "$$(tools/tool.sh lint)/staticcheck" ./...
	@echo "check: go mod tidy"; for m in . tools/lint tools/interop tools/conformance tools/registry; do go -C $$m mod tidy -diff; done
	@echo "check: import rules, dependencies, documents"; go test -count=1 ./internal/architecture

# The rows that the last commit changed are mutated first; a narrowed run leaves
# them out. What vet has to say of the tests is for make check.
test: build ## every test, with a Docker engine and a Kubernetes; ARGS='-run X ./internal/y' narrows it
	@$(if $(or $(PART),$(filter ./...,$(ARGS))),! git rev-parse --verify --quiet HEAD~1 >/dev/null 2>&1 || { $(TOOLS); go run ./tools/mutants -since HEAD~1 -part '$(PART)'; })
	@tools/pkcs11.sh
	@$(TOOLS); $(if $(needs_cluster),$(KUBE);) $(ENGINE) $(if $(needs_cluster),$(CLUSTER)) go run ./tools/testsummary $(if $(SUMMARY),-summary '$(SUMMARY)') -- -vet=off -timeout 30m $(ARGS)

# ROWS='T3 C2' names rows; without it, SINCE=HEAD~1 leaves out what is as it was at
# that commit.
mutants: ## take each defence out of a copy, where the tests of its attack must fail
	@$(TOOLS); go run ./tools/mutants $(if $(SINCE),-since '$(SINCE)') $(ROWS)

kubebox: ## build the Kubernetes of the tests, print where it is (20 minutes of CPU time, once)
	@tools/tool.sh kube

cluster: ## start a Kubernetes, say how tests use it, stop it on interrupt
	@$(KUBE); $(CLUSTER)

DEMO = $(SIGSTORE); $(ENGINE) go run ./tools/sigstoreenv -job tag=refs/tags/v1.2.2 -job branch=refs/heads/main -- demo/demo.sh

demo: build ## the whole story on this machine, attacks included, with Docker and a Kubernetes
	@$(DEMO) kubernetes

demo-compose: build ## the story without a Kubernetes
	@$(DEMO) compose

bench: ## benchmarks
	@$(ENGINE) go test -run '^$$' -bench . -benchmem $(ARGS)

fuzz: FUZZTIME = 2m
fuzz: ## fuzz every parser for FUZZTIME, here 2m
	@tools/fuzz.sh '$(FUZZTIME)'

soak: build kms ## fuzz every parser for FUZZTIME, then repeat the tests for SOAK
	@$(TOOLS); $(KUBE); $(ENGINE) $(CLUSTER) tools/soak.sh '$(FUZZTIME)' '$(SOAK)'

goldens: ## sign the checked-in test bundles anew, with a real private Sigstore
	@$(TOOLS); $(COSIGN); go run ./tools/goldens

pkcs11: ## test keys in tokens, with SoftHSM of Debian's packages
	@tools/pkcs11.sh

publisher-pkcs11: ## build bin/publisher-pkcs11, for keys in PKCS#11 tokens (needs a C compiler)
	CGO_ENABLED=1 go build -trimpath -tags '$(TAGS),pkcs11' -buildvcs=$(VCS) -ldflags '-s -w -X main.buildTime=$(BUILD_TIME)' -o bin/publisher-pkcs11 ./cmd/publisher

kms: build ## test keys in a KMS, with a real Vault that is built for it
	@$(KMS); cd cmd/publisher-kms; go vet -tags $(TAGS) ./...; go test -tags $(TAGS) -count=1 ./...

publisher-kms: ## build bin/publisher-kms, for keys in AWS KMS, Azure Key Vault, Google Cloud KMS, Vault or OpenBao
	go -C cmd/publisher-kms build -trimpath -tags $(TAGS) -buildvcs=$(VCS) -ldflags '-s -w' -o '$(CURDIR)/bin/publisher-kms' .

interop: build ## build the programs of others that tests run, print where they are, and test with cosign
	@$(TOOLS); $(COSIGN); printf '%s\n' "$$interop" "$$conformance" "$$registry" "$$sigstore" "$$cosign"; \
		go run ./tools/testsummary -- -tags interop -count=1 -run '^TestCosign' ./internal/world/keyless

clean: ## remove bin/ and dist/ (the cache is yours to delete: see make help)
	rm -rf bin dist
