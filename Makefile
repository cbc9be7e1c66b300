# Front door of noxfile.py, for a machine with GNU make, git and Python 3.11 or newer. All else is installed in .venv/.
# `.venv/nox/bin/nox -l` lists every session.

PYTHON ?= python3
ifneq ($(filter command environment%,$(origin PYTHON)),)
export PYTHON
endif
export PIP_DISABLE_PIP_VERSION_CHECK := 1
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TOOLS := .venv/nox/ready
NOX := .venv/nox/bin/nox

$(TOOLS): constraints/tools.txt
	@$(PYTHON) -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer (with the venv module) is needed, and $(PYTHON) is not: give one as PYTHON=..." >&2; exit 1; }
	@echo "== installing nox and uv into $(@D)"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install -qq -r $<
	@touch $@

.PHONY: help
help:  ## this list
	@sed -nE 's/^([a-z][a-z0-9-]*):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

.PHONY: demo ui
demo: $(TOOLS)  ## run every example DAG in a real Airflow against the emulator
	@$(NOX) -s demo
ui: $(TOOLS)  ## the same Airflow, left running with its web page until Ctrl-C
	@$(NOX) -s demo -- --ui

.PHONY: check
check: $(TOOLS)  ## lint, types and the unit tests on the newest Airflow
	@$(NOX) -s lint types unit-newest

# Three at a time: end-to-end tests wait for half of their time, so they come first and have one of the others beside
# them. What does not depend on Airflow runs on one of the two versions only.
.PHONY: test
test: export CLOUDSYNC_SHARE_TESTS := 1
test: $(TOOLS)  ## everything: lint, types, unit and end-to-end tests on the newest and the oldest Airflow
	@$(NOX) -s venvs
	@$(MAKE) -j3 --output-sync=target e2e-newest e2e-oldest lint unit-newest unit-oldest

.PHONY: lint unit-newest unit-oldest e2e-newest e2e-oldest
lint: $(TOOLS)
	@$(NOX) -s lint types
unit-newest unit-oldest e2e-newest e2e-oldest: $(TOOLS)
	@$(NOX) -s $@

.PHONY: test-all soak e2e-celery e2e-browser screenshots
test-all: $(TOOLS)  ## unit tests on every Airflow from 2.11 to 3.3 with every Python that it supports and that is here
	@$(NOX) -s matrix
soak: $(TOOLS)  ## 2,000 waits for 10 minutes with faults and restarts
	@$(NOX) -s soak
e2e-celery: $(TOOLS)  ## workers, triggerers, PostgreSQL and Redis, and some of them killed
	@$(NOX) -s celery
screenshots: export CLOUDSYNC_SCREENSHOTS := 1
screenshots: e2e-browser  ## the pictures of the guides, taken afresh
e2e-browser: $(TOOLS)  ## form, buttons, assets and grid in a browser
	@$(NOX) -s browser

.PHONY: bench docs dist constraints clean
bench: $(TOOLS)  ## speed and size; with PEERS=1 beside other providers
	@$(NOX) -s bench -- $(if $(PEERS),--peers)
docs: $(TOOLS)  ## the guides and the reference as a site, in build/docs
	@$(NOX) -s docs
dist: $(TOOLS)  ## build the packages of a release, and try them; with DEMO=1 also in a real Airflow
	@$(NOX) -s dist -- $(if $(DEMO),--demo)
constraints: $(TOOLS)  ## resolve all pins afresh
	@$(NOX) -s pins
clean:  ## remove what these targets made
	rm -rf .venv .nox build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
