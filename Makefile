# What a newcomer needs; `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash
PYTEST := $(BIN)/pytest -q --durations=30
MAY_INSTALL := [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null

.PHONY: help setup system toolchain lint test test-quick test-long demo demo-migration bench images docs lock clean
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

setup: $(VENV)/.installed ## Install everything Python into .venv (hash-pinned)

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

system: ## Install the Debian packages that the embedded platform uses (root; starts no service)
	@if $(MAY_INSTALL); then tools/install-system-packages; \
	else echo "not root or no apt: the embedded platform will simulate its nodes; see 'coopctl doctor'"; fi

toolchain: setup ## Find or build the pinned tools (some 15 minutes the first time)
	$(BIN)/coopctl toolchain install

lint: setup ## Style, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup system lint toolchain ## All tests, with a sample of the long walks
	$(PYTEST) -n 2 -m "not long"

test-quick: setup ## The tests that need no server
	$(PYTEST) -m "not long and not servers and not cluster and not node"

test-long: setup system toolchain ## The long walks; BUDGET=seconds leaves out what does not fit, and says so
	$(PYTEST) -n 2 -m long -p tests.time_budget --time-budget=$(or $(BUDGET),0)

demo: setup system toolchain ## Run rice-processing on the embedded platform and look at it; NODE=simulated needs no root
	$(BIN)/python -m examples.demo $(if $(NODE),--node $(NODE))

demo-migration: setup system toolchain ## Move rice-processing to PostgreSQL 18 and back while an application writes; NODE as for demo
	$(BIN)/python -m examples.demo_migration $(if $(NODE),--node $(NODE))

images: setup system ## Build the solutions' images for ESTATE (default examples/pilot); PUSH=1 pushes them to its registry
	$(BIN)/coopctl images build --estate $(or $(ESTATE),examples/pilot) $(if $(PUSH),--push)

bench: setup system toolchain ## Run the benchmarks and write docs/explanation/performance.md
	@if $(MAY_INSTALL); then tools/install-system-packages bench-packages.txt; fi
	$(BIN)/python -m bench

docs: setup ## Generate docs/reference
	$(BIN)/python -m cli.reference docs/reference

lock: setup ## Lock the Python requirements again, with hashes and without addresses
	for set in runtime dev go checkov; do \
	  $(BIN)/uv pip compile --quiet --no-header --generate-hashes --python-version 3.11 --upgrade \
	    requirements/$$set.in -o requirements/$$set.txt; done

clean: ## Remove .venv and the caches of the checks (not the toolchain: it is in the user's cache)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
