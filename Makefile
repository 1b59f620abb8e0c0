# make demo   installs everything and shows the main job
# make test   installs everything and runs every test
# make check  formats and checks: ruff, mypy
# make bench  measures, holds every figure against its limit, and writes docs/performance.md (a quarter of an hour)
# make soak   lets everything go wrong for half an hour, and finds out whether anything was lost
# make fuzz   feeds every parser of untrusted text with bent real ones, for ten minutes
# make lock   writes the lock files anew from pyproject.toml
# make needs  installs what the tests need; with --jobs, all at once

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TEST_ARGS ?= -n 4 --dist worksteal
SOAK_ARGS ?= --minutes 30
FUZZ_ARGS ?= --seconds 600

# Tests start hundreds of processes, and each that finds nothing compiled is a second late.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check bench soak fuzz lock needs sandbox toolchains clean

demo: $(VENV)/.installed sandbox
	$(BIN)/assay demo

test: needs
	@# docs/decisions.md, "Testing": what failed is run once more, alone, to tell a flaky test from a broken one.
	$(BIN)/python -m pytest $(TEST_ARGS) || { test $$? = 1 && \
	  echo "What failed is run once more, alone. What passes now is flaky and wants mending:" && \
	  $(BIN)/python -m pytest --last-failed --last-failed-no-failures none -v --maxfail 3; }

needs: $(VENV)/.installed-dev toolchains tests/contract/node_modules/.package-lock.json \
  tests/runners/node_modules/.package-lock.json tests/linters/node_modules/.package-lock.json tests/scanners/.venv/.installed

check: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.installed-dev sandbox bench/probot/node_modules/.package-lock.json
	$(BIN)/python -m bench --write docs/performance.md

soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.faults.deliveries 10000
	$(BIN)/python -m tests.faults.soak $(SOAK_ARGS)

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m tests.fuzz $(FUZZ_ARGS)

# What agents' commands run in.
sandbox:
	@command -v bwrap >/dev/null || { \
	  as=; [ "$$(id -u)" = 0 ] || as="sudo -n"; \
	  $$as apt-get -qq update && $$as apt-get -qq install -y --no-install-recommends bubblewrap >/dev/null; } || \
	  echo "bubblewrap is missing, and cannot be installed from here: nothing of a repository will be executed"

# Whose real runs are tested; after the sandbox, for only one may install at a time.
toolchains: sandbox
	tests/toolchains.sh

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Assay needs Python 3.11 or later: make PYTHON=python3.12 ..."; exit 1; }
	@command -v git >/dev/null || { echo "Assay needs git: install it first"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: install it first"; rm -rf $(VENV); exit 1; }

# A lock file is whole, so nothing is left to resolve. uv takes a tenth of pip's time, and knows nothing of pip's own
# settings: where an index stands only in those, pip does it.
install = $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --no-deps $(1) || $(pip) --no-deps $(1)
pip = $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(VENV)/.installed: $(BIN)/python requirements-uv.lock requirements.lock pyproject.toml
	$(pip) --no-deps --require-hashes -r requirements-uv.lock
	$(call install,--require-hashes -r requirements.lock)
	$(call install,--no-build-isolation --editable .)
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(call install,--require-hashes -r requirements-dev.lock)
	touch $@

# GitHub's own description of its API and its example payloads. Without npm the tests that need them skip and say so.
tests/contract/node_modules/.package-lock.json: tests/contract/package-lock.json
	@if command -v npm >/dev/null; then cd tests/contract && npm ci --silent --no-audit --no-fund; \
	else echo "npm is not installed: two contract tests will be skipped"; fi

# Test runners of JavaScript, whose real reports are read. Without npm the tests that need them skip and say so.
tests/runners/node_modules/.package-lock.json: tests/runners/package-lock.json
	@if command -v npm >/dev/null; then cd tests/runners && npm ci --silent --no-audit --no-fund; \
	else echo "npm is not installed: some tests of the test agent will be skipped"; fi

# The web's linters, run for real. Without npm the tests that need them skip and say so.
tests/linters/node_modules/.package-lock.json: tests/linters/package-lock.json
	@if command -v npm >/dev/null; then cd tests/linters && npm ci --silent --no-audit --no-fund; \
	else echo "npm is not installed: the web's linters will not be tested for real"; fi

# semgrep and trivy, run for real. semgrep brings 66 packages; nothing of them is compiled but what its tests import.
SCANNERS := --python tests/scanners/.venv/bin/python
HASHED := --no-deps --require-hashes -r tests/scanners/requirements.lock
tests/scanners/.venv/.installed: $(VENV)/.installed tests/scanners/requirements.lock
	$(PYTHON) -m venv --without-pip tests/scanners/.venv
	$(BIN)/uv pip install --quiet $(SCANNERS) $(HASHED) || $(BIN)/python -m pip $(SCANNERS) install --quiet $(HASHED)
	touch $@

# What admission is compared with. Without npm that comparison is left out.
bench/probot/node_modules/.package-lock.json: bench/probot/package-lock.json
	@if command -v npm >/dev/null; then cd bench/probot && npm ci --silent --no-audit --no-fund; \
	else echo "npm is not installed: nothing will be compared with Probot"; fi

COMPILE = $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url \
  --no-emit-find-links --no-emit-trusted-host

lock: $(VENV)/.installed-dev
	echo uv | $(COMPILE) --output-file requirements-uv.lock -
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra dev --extra tracing --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	$(COMPILE) --output-file tests/scanners/requirements.lock tests/scanners/requirements.in

clean:
	rm -rf $(VENV) tests/scanners/.venv tests/contract/node_modules tests/runners/node_modules tests/linters/node_modules bench/probot/node_modules
