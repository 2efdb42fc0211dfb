# Every target does its own set-up first; scripts/setup.py does nothing where nothing changed.
# make PYTHON=python3.12 chooses the interpreter; SEAWALL_CACHE the place of what outlives a clone.

PYTHON ?= python3
VENV := .venv/bin
CACHE := $(or $(SEAWALL_CACHE),$(HOME)/.cache/seawall)
export CARGO_TARGET_DIR ?= $(CACHE)/cargo
FORGE := ../devnet/node_modules/.bin/forge
CARGO_FLAGS := --manifest-path native/Cargo.toml --locked

.PHONY: help setup demo test test-python test-contracts check bench clean

help:
	@echo "make demo            the main job on a local chain, with an account of what happened and why"
	@echo "make test            all tests: Python, native core, contracts"
	@echo "make check           linters, types, import direction, contract artifacts"
	@echo "make bench           benchmarks"
	@echo "make setup           only what the others do first"
	@echo "make clean           remove what was made in this clone"

setup:
	@$(PYTHON) scripts/setup.py

demo: setup
	@$(VENV)/seawall demo

test: test-python test-contracts

test-python: setup
	$(VENV)/python -m pytest -n 2

# The native core has no tests of its own: it is tested through its Python face, against other implementations.
test-contracts: setup
	cd contracts && $(FORGE) test

check: setup
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/mypy
	$(VENV)/lint-imports
	cargo fmt --manifest-path native/Cargo.toml --check
	cargo clippy --quiet $(CARGO_FLAGS) -- -D warnings
	$(VENV)/python contracts/build.py --check

bench: setup
	$(VENV)/python -m bench

clean:
	rm -rf .venv devnet/node_modules devnet/build contracts/out contracts/cache dist
	rm -rf .mypy_cache .ruff_cache .hypothesis .import_linter_cache src/seawall/_native*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
