# The commands of this repository; `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

CACHE   := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/slipway-lab
LAB     := $(CACHE)/bin/lab
HELPERS := nexus-latest-tag nexus-push image-evidence migrate-diff canary-weight rollout-wait deploy-image
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
DATE    ?= $(shell git log -1 --format=%cI 2>/dev/null || echo unknown)
PACKAGE := slipway.dev/slipway/helpers/internal/cli
LDFLAGS := -s -w -X $(PACKAGE).version=$(VERSION) -X $(PACKAGE).commit=$(COMMIT) -X $(PACKAGE).date=$(DATE)
ANSWER  ?= yes

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14
.PHONY: help

build: ## the helpers, into bin/
	@mkdir -p bin
	for helper in $(HELPERS); do
	  go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./helpers/$$helper
	done
.PHONY: build

setup: ## everything that demo and test need, cached
	@tests/needs
	$(MAKE) -C tests/lab
	$(LAB) setup
.PHONY: setup
