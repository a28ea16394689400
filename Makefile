# make help lists the targets. Everything Python lives in .venv; nothing is installed outside of it, but for the
# Debian packages that `make test` adds where it runs as root.

# The system's own, where it will do: it is what users have, and starts a container 4 ms sooner than one that a version
# manager built (docs/performance.md).
FITS := import sys, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(shell for each in /usr/bin/python3 python3; do $$each -c '$(FITS)' 2>/dev/null && echo $$each; \
	done) python3)
VENV := .venv
BIN := $(VENV)/bin
# Where a dependency is fetched from is pip's own configuration's business.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help env demo check test bench fuzz clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

env: $(VENV)/.development  ## create .venv with all that development needs

demo: $(VENV)/.runtime  ## load, push, pull and run an image, real commands shown (IMAGE=NAME takes that one)
	@$(BIN)/python -m fixtures.demo

check: $(VENV)/.development  ## lint, format, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(VENV)/.development  ## install what the tests need, then check, then run them with coverage
	.ci/install-packages
	$(MAKE) check
	scratch=$$(mktemp -d) && chmod 711 "$$scratch" && trap 'rm -rf "$$scratch"' EXIT && \
		PYTEST_DEBUG_TEMPROOT=$$scratch $(BIN)/pytest -n 2 --cov --cov-report=term:skip-covered

bench: $(VENV)/.runtime  ## measure lstore beside other tools, and write docs/performance.md (ROUNDS=3)
	$(BIN)/python -m compileall -q layerstore registry_client runner lstore  # as pip does where it installs
	$(BIN)/python -m fixtures.bench --rounds $(or $(ROUNDS),3) --write

FUZZ_SECONDS ?= 60

fuzz: $(VENV)/.development  ## fuzz each target of fixtures/fuzz for FUZZ_SECONDS with atheris; the corpus stays in .fuzz
	@$(PIP) atheris || { echo "atheris has no wheel for this Python: make fuzz PYTHON=python3.11"; exit 1; }
	@mkdir -p .fuzz
	cd .fuzz && for target in layer archive documents dockerfile; do PYTHONPATH=.. ../$(BIN)/python -m fixtures.fuzz \
		$$target $$target -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=2048 || exit 1; done

clean:  ## remove .venv, caches and reports
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "lstore needs Python 3.11 or newer: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
		|| { echo "python3-venv is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# Python 3.12 brings none; 3.11's costs each start of an interpreter 0.5 ms.
	@$(BIN)/python -m pip --quiet uninstall --yes setuptools 2>/dev/null
$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.development: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.runtime
