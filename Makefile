# Needs GNU make, git and Python 3.11 or newer; everything else is installed under .venv/.

PYTHON ?= python3
AIRFLOW_NEWEST := 3.3.2
AIRFLOW_OLDEST := 2.11.2

# Nothing of the developer's own Airflow or Python path gets in.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP $(filter AIRFLOW%,$(.VARIABLES))
export PIP_DISABLE_PIP_VERSION_CHECK := 1
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# --- which Pythons -------------------------------------------------------------------------------
# $(call python_of,candidates,newest minor allowed,oldest one: 11) -> "command minor" of the first that runs
python_of = $(shell for p in $(1); do m=$$("$$p" -c 'import sys, venv; v = sys.version_info; \
  print(v.minor) if (3, $(or $(3),11)) <= v[:2] <= (3, $(2)) else sys.exit(1)' 2>/dev/null) && echo "$$p $$m" && break; done)

FALLBACKS := $(if $(filter file,$(origin PYTHON)),python3.13 python3.12 python3.11)
NEWEST_PY := $(call python_of,$(PYTHON) $(FALLBACKS),14)
# Airflow 2.11 runs on Python up to 3.12.
OLDEST_PY := $(call python_of,$(PYTHON) python3.12 python3.11,12)
NEWEST := $(if $(NEWEST_PY),.venv/newest/ready-3.$(lastword $(NEWEST_PY)),no-python)
OLDEST := $(if $(OLDEST_PY),.venv/oldest/ready-3.$(lastword $(OLDEST_PY)))

.PHONY: no-python
no-python:
	@echo "Python 3.11 or newer (with the venv module) is needed, and $(PYTHON) is not: give one as PYTHON=..." >&2
	@exit 1

# --- environments --------------------------------------------------------------------------------
# A stamp carries the Python's version, so that `make PYTHON=...` builds anew. An old stamp of that version: only what
# has changed is installed.
# $(call install,Airflow's version,command and minor of the Python,pins)
define install
	@echo "== installing Airflow $(1) on Python 3.$(lastword $(2)) into $(@D)"
	@[ -e $@ ] || { rm -rf $(@D); $(firstword $(2)) -m venv $(@D); }
	@$(@D)/bin/python -m pip install -qq -c $(3) pip
	@$(@D)/bin/python -m pip install -qq -r $(3)
	@$(@D)/bin/python -m pip install -qq --no-build-isolation --no-deps -e .
	@$(@D)/bin/python -m pip check
	@touch $@
endef

.venv/newest/ready-%: pyproject.toml constraints/newest.txt
	$(call install,$(AIRFLOW_NEWEST),$(NEWEST_PY),constraints/newest.txt)

.venv/oldest/ready-%: pyproject.toml constraints/oldest.txt
	$(call install,$(AIRFLOW_OLDEST),$(OLDEST_PY),constraints/oldest.txt)

.venv/celery/ready-%: pyproject.toml constraints/newest.txt constraints/celery.txt
	$(call install,$(AIRFLOW_NEWEST),$(NEWEST_PY),constraints/newest.txt -r constraints/celery.txt)

.venv/peers/ready-%: pyproject.toml constraints/newest.txt benchmarks/peers.txt
	$(call install,$(AIRFLOW_NEWEST),$(NEWEST_PY),constraints/newest.txt -r benchmarks/peers.txt)

# What needs no Airflow: $(call tools,constraints file)
define tools
	@echo "== installing the tools of $(1) on Python 3.$(lastword $(NEWEST_PY)) into $(@D)"
	@[ -e $@ ] || { rm -rf $(@D); $(firstword $(NEWEST_PY)) -m venv $(@D); }
	@$(@D)/bin/python -m pip install -qq -c $(1) pip
	@$(@D)/bin/python -m pip install -qq -r $(1)
	@$(@D)/bin/python -m pip check
	@touch $@
endef

.venv/docs/ready-%: constraints/docs.txt
	$(call tools,$<)

.venv/dist/ready-%: constraints/dist.txt
	$(call tools,$<)

# What drives a browser is the same for each Airflow, so it is a folder that their Pythons look into. What it depends on
# (greenlet) every Airflow brings.
BROWSER := .venv/browser/ready
$(BROWSER): constraints/browser.txt | $(NEWEST)
	@echo "== installing what drives a browser into $(@D)"
	@rm -rf $(@D)
	@.venv/newest/bin/python -m pip install -qq --no-deps --target $(@D) -r $<
	@touch $@

# $(call in_venv,name,command): with an empty AIRFLOW_HOME that goes away again
in_venv = @home=$$(mktemp -d); trap 'rm -rf "$$home"' EXIT; \
  AIRFLOW_HOME="$$home" VIRTUAL_ENV="$(CURDIR)/.venv/$(1)" PATH="$(CURDIR)/.venv/$(1)/bin:$$PATH" $(2)

# --- what there is to do -------------------------------------------------------------------------
.PHONY: help
help:  ## this list
	@sed -nE 's/^([a-z][a-z0-9-]*):.*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

.PHONY: demo
demo: $(NEWEST)  ## run every example DAG in a real Airflow against the emulator
	$(call in_venv,newest,python -m tests.e2e.demo)

.PHONY: ui
ui: $(NEWEST)  ## the same Airflow, left running with its web page until Ctrl-C
	$(call in_venv,newest,python -m tests.e2e.demo --ui)

.PHONY: soak
soak: $(NEWEST)  ## 2,000 waits for 10 minutes with faults and restarts; see tests/soak/__main__.py
	$(call in_venv,newest,python -m tests.soak)

.PHONY: lint
lint: $(NEWEST)  ## ruff and mypy
	@echo "== ruff, mypy"
	$(call in_venv,newest,ruff check)
	$(call in_venv,newest,ruff format --check)
	$(call in_venv,newest,mypy)

.PHONY: check
check: lint unit-newest  ## lint and the unit tests on the newest Airflow

.PHONY: test
test:  ## everything: lint, unit and end-to-end tests on the newest and the oldest Airflow
	@$(MAKE) -j2 venvs
	@$(MAKE) -j1 lint
	@$(MAKE) -j2 --output-sync=target $(TESTS) NOT_ON_NEWEST=$(if $(OLDEST),tests/api) NOT_ON_OLDEST=tests/emulator

# Two at a time. Beside end-to-end tests, which wait now and then, unit tests leave no processor idle.
TESTS := e2e-newest unit-oldest e2e-oldest unit-newest

.PHONY: venvs
venvs: $(NEWEST) $(OLDEST)

# What has nothing to do with the version of Airflow is done once, and by itself each target does nearly all.
NOT_ON_NEWEST :=
NOT_ON_OLDEST := tests/api/test_properties.py

.PHONY: unit-newest e2e-newest
unit-newest: $(NEWEST)
	@echo "== unit tests, Airflow $(AIRFLOW_NEWEST)"
	$(call in_venv,newest,pytest -q $(NOT_ON_NEWEST:%=--ignore %))
e2e-newest: $(NEWEST)
	@echo "== end-to-end tests, Airflow $(AIRFLOW_NEWEST)"
	$(call in_venv,newest,pytest -q -m e2e --ignore tests/e2e/test_soak.py tests/e2e)

.PHONY: unit-oldest e2e-oldest
ifneq ($(OLDEST),)
unit-oldest: $(OLDEST)
	@echo "== unit tests, Airflow $(AIRFLOW_OLDEST)"
	$(call in_venv,oldest,pytest -q $(NOT_ON_OLDEST:%=--ignore %))
e2e-oldest: $(OLDEST)
	@echo "== end-to-end tests, Airflow $(AIRFLOW_OLDEST)"
	$(call in_venv,oldest,pytest -q -m e2e --ignore tests/e2e/test_hundred.py tests/e2e)
else
unit-oldest e2e-oldest:
	@echo "!! $@ SKIPPED: Airflow $(AIRFLOW_OLDEST) needs Python 3.11 or 3.12, and neither was found"
endif

# Not part of `make test`: it wants servers of its own, and takes some minutes. See docs/deployment.md.
.PHONY: e2e-celery
e2e-celery: $(subst newest,celery,$(NEWEST))  ## workers, triggerers, PostgreSQL and Redis, and some of them killed
	$(call in_venv,celery,python -m tests.e2e.debian postgresql redis-server)
	@echo "== the distributed deployment, Airflow $(AIRFLOW_NEWEST)"
	$(call in_venv,celery,pytest -q -s -m celery -o faulthandler_timeout=1800 tests/e2e/test_celery.py)

# Not part of `make test` either: it wants a browser.
.PHONY: e2e-browser screenshots browser-newest browser-oldest
e2e-browser:  ## the form, the buttons, assets and the grid in a browser; its pictures are in build/screenshots
	@$(MAKE) -j1 browser-newest browser-oldest
screenshots: export CLOUDSYNC_SCREENSHOTS := 1
screenshots: e2e-browser  ## the same, and its pictures become those of the guides

# $(call in_browser,newest|oldest,Airflow's version)
define in_browser
	$(call in_venv,$(1),python -m tests.e2e.debian chromium)
	@echo "== in a browser, Airflow $(2)"
	$(call in_venv,$(1),PYTHONPATH="$(CURDIR)/$(dir $(BROWSER))" pytest -q -m browser tests/e2e/test_browser.py)
endef

browser-newest: $(NEWEST) $(BROWSER)
	$(call in_browser,newest,$(AIRFLOW_NEWEST))
ifneq ($(OLDEST),)
browser-oldest: $(OLDEST) $(BROWSER)
	$(call in_browser,oldest,$(AIRFLOW_OLDEST))
else
browser-oldest:
	@echo "!! $@ SKIPPED: Airflow $(AIRFLOW_OLDEST) needs Python 3.11 or 3.12, and neither was found"
endif

# --- every Airflow on every Python ---------------------------------------------------------------
# A cell is a pair of the two, such as 3.1-py3.12. Airflow 2.11 and 3.0 run on Python up to 3.12.
CELLS := $(foreach airflow,2.11 3.0,$(foreach minor,11 12,$(airflow)-py3.$(minor))) \
         $(foreach airflow,3.1 3.2 3.3,$(foreach minor,11 12 13,$(airflow)-py3.$(minor)))
airflow_of = $(firstword $(subst -py, ,$(1)))
minor_of = $(lastword $(subst -py3., ,$(1)))
cell_in_words = Airflow $(call airflow_of,$(1)) on Python 3.$(call minor_of,$(1))
# The ends of the range have their pins from above.
PINS_2.11 := oldest
PINS_3.3 := newest
pins_of = constraints/$(or $(PINS_$(call airflow_of,$(1))),$(call airflow_of,$(1))).txt
# Also where pyenv keeps those that it does not put on the path.
pythons = python3.$(1) $(PYTHON) $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.$(1).*/bin/python)
# Empty where that Python is not on this machine; each is looked for once, and only if it is asked for.
CELL_PY_11 = $(eval CELL_PY_11 := $(call python_of,$(call pythons,11),11,11))$(CELL_PY_11)
CELL_PY_12 = $(eval CELL_PY_12 := $(call python_of,$(call pythons,12),12,12))$(CELL_PY_12)
CELL_PY_13 = $(eval CELL_PY_13 := $(call python_of,$(call pythons,13),13,13))$(CELL_PY_13)
cell_py = $(CELL_PY_$(call minor_of,$(1)))

.PHONY: test-all
test-all:  ## unit tests on every Airflow from 2.11 to 3.3 with every Python that it supports and that is here
	@$(MAKE) -k $(CELLS:%=unit-%)

.SECONDEXPANSION:
.PRECIOUS: .venv/%/ready
.venv/%/ready: pyproject.toml $$(call pins_of,$$*)
	$(call install,$(call airflow_of,$*),$(call cell_py,$*),$(call pins_of,$*))

# What has nothing to do with the version of Airflow is done on the newest, with each Python.
unit-%: $$(if $$(call cell_py,$$*),.venv/$$*/ready)
	@echo "$(if $(call cell_py,$*),==,!! SKIPPED, since that Python was not found:) unit tests, $(call cell_in_words,$*)"
	$(if $(call cell_py,$*),$(call in_venv,$*,pytest -q $(if $(filter 3.3-%,$*),,--ignore tests/api --ignore tests/emulator)))

# PEERS=1: beside other providers, too, which get an environment of their own.
.PHONY: bench
ifdef PEERS
bench: .venv/peers/ready-3.$(lastword $(NEWEST_PY))
endif
bench: $(NEWEST)  ## how fast and small it is, beside the least that could be; with PEERS=1 beside other providers
	$(call in_venv,newest,python -m benchmarks $(if $(PEERS),--peers .venv/peers/bin/python))

.PHONY: docs
docs: $(if $(NEWEST_PY),.venv/docs/ready-3.$(lastword $(NEWEST_PY)),no-python)  ## the guides and the reference as a site, in build/docs
	@rm -rf build/docs
	$(call in_venv,docs,sphinx-build -q -n -W --keep-going -c docs -d build/doctrees . build/docs)
	@echo "build/docs/index.html"

# The wheel is built from the sdist, and tried from outside the checkout. DEMO=1: with the demo, too.
.PHONY: dist
dist: $(if $(NEWEST_PY),.venv/dist/ready-3.$(lastword $(NEWEST_PY)),no-python)  ## build the packages of a release, and try them; with DEMO=1 also in a real Airflow
	@rm -rf dist build/installed
	$(call in_venv,dist,python -m build --no-isolation)
	$(call in_venv,dist,twine check --strict dist/*)
	$(call in_venv,dist,python -m tests.release.packages dist)
	@echo "== installing the wheel beside Airflow $(AIRFLOW_NEWEST) into build/installed"
	@$(firstword $(NEWEST_PY)) -m venv build/installed
	@build/installed/bin/python -m pip install -qq -c constraints/newest.txt pip
	@build/installed/bin/python -m pip install -qq -c constraints/newest.txt apache-airflow==$(AIRFLOW_NEWEST) dist/*.whl
	@build/installed/bin/python -m pip check
	@build/installed/bin/python tests/release/installed.py dist/*.tar.gz $(if $(DEMO),--demo)

.PHONY: clean
clean:  ## remove what these targets made
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- pins ----------------------------------------------------------------------------------------
# The oldest environment holds each runtime dependency at the floor that pyproject.toml declares.
FLOORS := apache-airflow-providers-common-compat==1.23.0 requests==2.32.2 aiohttp==3.14.0 pendulum==3.0.0

# libcst asks for it on that version alone
ONLY_313 := PyYAML-ft==8.0.0; python_version == "3.13"

# What the distributed deployment needs beside the newest environment. Celery 5.7 lacks a name that its provider imports.
DISTRIBUTED := apache-airflow-providers-celery 'celery<5.7' psycopg2-binary asyncpg redis
# What the last releases of those minors were not made for, and do not exclude by themselves.
REQUIRES_3.0 := 'fastapi<0.118' 'pyjwt<2.11'
REQUIRES_3.2 := 'fastapi<0.137' 'svcs<26'

# $(call pin,file,requirements,more commands): resolve afresh in a throw-away environment, write down what came
define pin
	@echo "== resolving $(1)"
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	$(firstword $(OLDEST_PY)) -m venv "$$tmp"; \
	"$$tmp/bin/python" -m pip install -qq --upgrade pip; \
	"$$tmp/bin/python" -m pip install -qq --group dev . $(2); \
	{ echo "# Pins for $(firstword $(2)), dev tools included. Made by \`make constraints\`: do not edit."; \
	  "$$tmp/bin/python" -m pip freeze --all --exclude setuptools --exclude airflow-provider-cloudsync; \
	  $(3) } > $(1)
endef

# $(call beside,file,requirements,target): the same for what a target needs on top of the newest environment, without
# what is in that
define beside
	@echo "== resolving $(1)"
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	$(firstword $(OLDEST_PY)) -m venv "$$tmp"; \
	"$$tmp/bin/python" -m pip install -qq -r constraints/newest.txt $(2); \
	{ echo "# What \`make $(3)\` needs beside constraints/newest.txt. Made by \`make constraints\`: do not edit."; \
	  "$$tmp/bin/python" -m pip freeze --all --exclude setuptools | grep -vxFf constraints/newest.txt; } > $(1)
endef

# $(call pin_tools,docs|dist): of a dependency group that needs no Airflow
define pin_tools
	@echo "== resolving constraints/$(1).txt"
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
	$(firstword $(OLDEST_PY)) -m venv "$$tmp"; \
	"$$tmp/bin/python" -m pip install -qq --upgrade pip; \
	"$$tmp/bin/python" -m pip install -qq --group $(1); \
	{ echo "# Pins for the dependency group $(1). Made by \`make constraints\`: do not edit."; \
	  "$$tmp/bin/python" -m pip freeze --all --exclude setuptools; } > constraints/$(1).txt
endef

.PHONY: constraints-tools
constraints-tools:
	$(call pin_tools,docs)
	$(call pin_tools,dist)

.PHONY: constraints
constraints: pins-newest pins-celery pins-browser pins-oldest pins-3.0 pins-3.1 pins-3.2 constraints-tools  ## resolve all pins afresh

.PHONY: pins-newest pins-oldest
pins-newest:
	$(call pin,constraints/newest.txt,apache-airflow==$(AIRFLOW_NEWEST),echo '$(ONLY_313)';)
pins-oldest:
	$(call pin,constraints/oldest.txt,apache-airflow==$(AIRFLOW_OLDEST) $(FLOORS))
.PHONY: pins-celery
pins-celery: pins-newest
	$(call beside,constraints/celery.txt,$(DISTRIBUTED),e2e-celery)
.PHONY: pins-browser
pins-browser: pins-newest
	$(call beside,constraints/browser.txt,playwright,e2e-browser)
# The minors between: the last release of each.
pins-%:
	$(call pin,constraints/$*.txt,apache-airflow==$*.* $(REQUIRES_$*),echo '$(ONLY_313)';)
