# Two commands are enough:
#     make figures    every figure, from a bare checkout
#     make test       the test suite
# `make help` lists the rest. They need make and Python 3.11 or newer; choose another
# interpreter with `make figures PYTHON=python3.12`.

PYTHON  ?= python3
WORKERS ?= 2
EXAMPLES ?= 1000
ARGS    ?=

VENV  := .venv
BIN   := $(VENV)/bin
# Written last: without it the environment counts as unfinished.
STAMP := $(VENV)/.installed
PIP   := $(BIN)/python -m pip --disable-pip-version-check
# A warning is an error, and so is a reference that leads nowhere.
SPHINX = $(BIN)/python -m sphinx -q -n -W --keep-going -d docs/_build/doctrees

# A file of tests goes to one worker: what its fixtures make is made once.
BY_FILE = --dist loadfile --no-loadscope-reorder

# Many tests start a process: whoever keeps no bytecode would compile the same sources in each.
test test-slow test-processors fuzz: export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help install figures test test-slow test-processors fuzz lint format types contracts bench docs docs-links clean distclean

help: ## say what the targets do
	@echo "Usage: make TARGET [PYTHON=python3] [WORKERS=2] [ARGS=...]"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

install: $(STAMP) ## build .venv with this library and the pinned versions
	@:

# An environment that works is updated in place; one that does not (an interrupted
# run, an interpreter since removed) is built again from nothing.
$(STAMP): pyproject.toml constraints.txt
	@rm -f $@
	@if $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "==> Using the environment in $(VENV)"; \
	else \
	    command -v "$(PYTHON)" >/dev/null || { \
	        echo "make: there is no '$(PYTHON)' here; name a Python 3.11 or newer: make PYTHON=/path/to/python" >&2; \
	        exit 1; }; \
	    "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	        echo "make: Python 3.11 or newer is needed, and '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1);" >&2; \
	        echo "      name another one: make PYTHON=python3.12" >&2; \
	        exit 1; }; \
	    echo "==> Creating $(VENV) with $$("$(PYTHON)" --version)"; \
	    "$(PYTHON)" -m venv --clear $(VENV); \
	fi
	@echo "==> Installing the library and its pinned dependencies (minutes the first time)"
	@$(PIP) install -q -c constraints.txt hatchling
	@$(PIP) install -q -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@
	@echo "==> Ready"

figures: $(STAMP) ## draw every figure that is out of date into figures/
	@echo "==> Drawing the figures into figures/"
	@$(BIN)/python -m validation figures --output figures $(ARGS)

test: $(STAMP) ## run the tests, without the slow ones
	@$(BIN)/python -m pytest -n $(WORKERS) $(BY_FILE) $(ARGS)

test-slow: $(STAMP) ## run the slow tests only
	@$(BIN)/python -m pytest -n $(WORKERS) $(BY_FILE) -m slow $(ARGS)

test-processors: $(STAMP) ## run the numerical tests as on other processors, with other seeds
	@WORKERS=$(WORKERS) $(BIN)/python tests/processors.py $(ARGS)

fuzz: $(STAMP) ## draw EXAMPLES random inputs for each door (1000), other ones every time
	@HYPOTHESIS_PROFILE=long EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n $(WORKERS) tests/fuzz -m "slow or not slow" $(ARGS)

lint: $(STAMP) ## check formatting and style
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

format: $(STAMP) ## rewrite the files as `make lint` wants them
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

types: $(STAMP) ## check the types
	@$(BIN)/mypy

contracts: $(STAMP) ## check who imports whom
	@$(BIN)/lint-imports --no-logo

bench: $(STAMP) ## run the benchmarks (installs scikit-learn to compare with)
	@$(PIP) install -q -c constraints.txt --no-build-isolation -e '.[bench]'
	@$(BIN)/python -m benchmarks $(ARGS)

# Pages of names that are gone have to go as well.
docs/reference/generated: $(wildcard docs/reference/*.rst docs/_templates/autosummary/*.rst)
	@rm -rf $@ docs/_build/html/reference/generated && mkdir $@

docs: $(STAMP) docs/reference/generated ## build the pages into docs/_build/html, gallery included, and check their links
	@$(PIP) install -q -c constraints.txt --no-build-isolation -e '.[docs]'
	@echo "==> Building the pages (two minutes the first time, then what has changed)"
	@$(SPHINX) -b html $(ARGS) docs docs/_build/html
	@echo "==> Ready: docs/_build/html/index.html"

docs-links: docs ## follow the links to other sites too (needs a network)
	@$(SPHINX) -b linkcheck $(ARGS) docs docs/_build/links

clean: ## remove figures, builds and caches; keep .venv
	@rm -rf build dist figures .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	@rm -rf docs/_build docs/auto_gallery docs/reference/generated
	@find . -path ./$(VENV) -prune -o -path ./.git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## the same, and .venv too
	@rm -rf $(VENV)
