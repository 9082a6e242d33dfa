# Chasqui. `make help` lists the targets; none needs an activated environment.
#
# `make up` installs what requirements/base.txt locks, the other targets what requirements/dev.txt
# does. A stamp in .venv remembers each installation, so a second run installs nothing.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?=
ARGS ?=
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# An environment whose interpreter is gone (removed, upgraded away) is installed anew, stamp or not.
BROKEN := $(shell test -x $(BIN)/python || echo no-interpreter)
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url

.DEFAULT_GOAL := help
.PHONY: help up test lint bench day storm soak cover lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

up: $(VENV)/.installed-base ## start the country in the foreground (ARGS="..." adds options)
	@exec $(BIN)/chasqui up $(ARGS)

test: $(VENV)/.installed-dev ## run every check and test; end by naming what was left out
	@exec $(BIN)/python tools/check.py $(ARGS)

lint: $(VENV)/.installed-dev ## run the checks that need no test: format, lint, types, floors
	@exec $(BIN)/python tools/check.py --no-tests $(ARGS)

bench: $(VENV)/.installed-dev ## measure full transfers beside a bare relay; writes build/bench.json
	@mkdir -p build
	@exec $(BIN)/python -m loadtests.bench $(ARGS)

day: $(VENV)/.installed-dev ## live a day of 100,000 transfers, prove every batch; ARGS="--kill"
	@exec $(BIN)/python -m loadtests.day $(ARGS)

storm: $(VENV)/.installed-dev ## have 1,000 field agents come back at once; ARGS="--broker mosquitto --kill"
	@exec $(BIN)/python -m loadtests.agents $(ARGS)

soak: $(VENV)/.installed-dev ## run the tests that take minutes
	@exec $(BIN)/python -m pytest -m soak --timeout=0 --hypothesis-profile=soak $(ARGS)

cover: $(VENV)/.installed-dev ## run the tests with coverage: cores whole, the rest 90 %
	@mkdir -p build
	@$(BIN)/python -m pytest -q -n 2 --cov --cov-report= $(ARGS)
	@$(BIN)/python -m coverage report --fail-under=90
	@$(BIN)/python -m coverage report --fail-under=100 --include='*/core/*'

# The smaller lock constrains the larger ones: a package has one version, whatever is installed.
lock: $(VENV)/.installed-dev ## resolve the dependencies anew into requirements/*.txt
	$(LOCK) --upgrade --extra build pyproject.toml -o requirements/base.txt
	$(LOCK) --upgrade --extra build --extra dev pyproject.toml \
		-c requirements/base.txt -o requirements/dev.txt
	$(LOCK) --upgrade --extra build --extra load pyproject.toml \
		-c requirements/base.txt -o requirements/load.txt

clean: ## remove the environment, caches and build output; the country's data stay
	rm -rf $(VENV) build dist .coverage .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: no-interpreter
no-interpreter:

$(VENV)/.installed-base: requirements/base.txt pyproject.toml tools/venv.sh $(BROKEN)
	@PYTHON='$(PYTHON)' sh tools/venv.sh $(VENV)
	@echo 'Installing into $(VENV) (the first time only) ...'
	@$(INSTALL) --require-hashes -r requirements/base.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements/dev.txt $(VENV)/.installed-base
	@echo 'Installing the tools of development (the first time only) ...'
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@
