# `make demo` and `make test` set up everything they need in .venv, from nothing but Python 3.11 and make.

PYTHON ?= python3
PIP := .venv/bin/python -m pip --disable-pip-version-check -q
HASH := $(shell cksum pyproject.toml | cut -d' ' -f1)
RUN := .venv/installed-run-$(HASH)
DEV := .venv/installed-dev-$(HASH)
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/octoproof
DEVNET := $(CACHE)/devnet-0.10.1/bin/starknet-devnet
PYTEST := .venv/bin/python -m pytest -rs -n auto --maxprocesses 4 --dist loadfile

.PHONY: demo test test-slow test-all lint chain-tools clean

demo: $(RUN)
	.venv/bin/octoproof demo

# Fast tests, after the linters; pytest's closing line comes last.
test: lint
	$(PYTEST)

test-slow: $(DEV)
	$(PYTEST) -m slow

test-all: lint
	$(PYTEST) -m "slow or not slow"

lint: $(DEV)
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

# A local Starknet node and a Cairo compiler, built from crates.io into the cache: half an hour on two cores, once.
chain-tools: $(DEV) $(DEVNET)
	.venv/bin/python -c 'from octoproof.starknet.build import find_builder; print(find_builder())'

$(DEVNET):
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
	  CARGO_PROFILE_RELEASE_DEBUG=0 cargo install -q starknet-devnet --version 0.10.1 --locked --root $(CACHE)/devnet-0.10.1

clean:
	rm -rf .venv build *.egg-info

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; name one with: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv .venv

# An environment is kept as long as pyproject.toml stays the same.
$(RUN): | .venv/bin/python
	$(PIP) install -e .
	@touch $@

$(DEV): | .venv/bin/python
	$(PIP) install -e '.[dev]'
	@touch $@ $(RUN)
