# Every target does its own set-up first; scripts/setup.py does nothing where nothing changed.
# make PYTHON=python3.12 chooses the interpreter; SEAWALL_CACHE the place of what outlives a clone.

PYTHON ?= python3
VENV := .venv/bin
CACHE := $(or $(SEAWALL_CACHE),$(HOME)/.cache/seawall)
export CARGO_TARGET_DIR ?= $(CACHE)/cargo
# What runs here starts hundreds of processes: each would compile all of Seawall for itself.
unexport PYTHONDONTWRITEBYTECODE
# make bench BENCH=wire measures one part.
BENCH ?= backfill evm fees gas ledger plans rpc rpc_faults signers takeover transactions wire
# make world SEEDS=200 is shorter; make chaos SEED=7 gives other faults.
SEEDS ?= 2000
SEED ?= 1
INTENTS ?= 5000
# Of the tests: one more than the cores of a small machine, for much of their time is waiting.
WORKERS ?= 3
FORGE := ../devnet/node_modules/.bin/forge

.PHONY: help setup demo test test-python test-long test-contracts prove-contracts coverage bench world chaos clean
.PHONY: check check-lint check-types check-imports check-native check-contracts

help:
	@echo "make demo            the main job on a local chain, with an account of what happened and why"
	@echo "make test            all tests: Python, native core, contracts"
	@echo "make test-long       those that have a shorter relative in make test"
	@echo "make coverage        lines that each room's own tests reach; fails under 90 % (ROOMS=\"risk adapters\": these)"
	@echo "make prove-contracts the contracts for all inputs within bounds, and that no line of theirs is untested"
	@echo "make check           linters, types, import direction, contract artifacts (make -k check: all of them)"
	@echo "make bench           benchmarks"
	@echo "make load            many plans at once, and very large ones, through a whole pipeline"
	@echo "make world           the whole kernel in $(SEEDS) simulated worlds, under every fault"
	@echo "make chaos           $(INTENTS) plans through real kernels on a real node, under kills and network faults"
	@echo "make setup           only what the others do first"
	@echo "make clean           remove what was made in this clone"

setup:
	@$(PYTHON) scripts/setup.py

demo:
	@$(PYTHON) scripts/setup.py --without-geth
	@$(VENV)/seawall demo

# Contracts beside Python, at the lowest priority: they compute while the others wait. What they say comes last.
test: setup
	@told=$$(mktemp); \
	nice -n 19 $(MAKE) --no-print-directory test-contracts > "$$told" 2>&1 & contracts=$$!; \
	trap 'kill $$contracts; rm -f "$$told"; exit 130' INT TERM; \
	$(MAKE) --no-print-directory test-python; python=$$?; \
	wait $$contracts; code=$$?; cat "$$told"; rm -f "$$told"; exit $$((python ? python : code))

test-python: setup
	$(VENV)/python -m tests.whole -n $(WORKERS)

test-long: setup
	SEAWALL_LONG=all $(VENV)/python -m pytest -n 2 -m long

# The native core has no tests of its own: it is tested through its Python face, against other implementations.
test-contracts: setup
	cd contracts && FORGE_SNAPSHOT_CHECK=true $(FORGE) test
	$(VENV)/python contracts/prove.py slither

prove-contracts: setup
	$(VENV)/python contracts/prove.py halmos
	$(VENV)/python contracts/prove.py coverage

coverage: setup
	@$(VENV)/python -m tests.rooms $(ROOMS)

check: check-lint check-types check-imports check-native check-contracts

check-lint: setup
	$(VENV)/ruff check --output-format concise
	$(VENV)/ruff format --check

check-types: setup
	$(VENV)/mypy

check-imports: setup
	$(VENV)/lint-imports

check-native: setup
	cargo fmt --manifest-path native/Cargo.toml --check
	cargo clippy --quiet --manifest-path native/Cargo.toml --locked -- -D warnings

check-contracts: setup
	$(VENV)/python contracts/build.py --check

world: setup
	@$(VENV)/python -m tests.world --seeds $(SEEDS) --coverage
	@SEAWALL_BUGS=all $(VENV)/python -m pytest -n 2 tests/world/test_bugs.py

# One kernel on SQLite, one and three on PostgreSQL; each is judged from the chain and the intake's answers alone.
chaos: setup
	@$(VENV)/python -m tests.chaos --intents $(INTENTS) --seed $(SEED) --ledger sqlite --kernels 1
	@$(VENV)/python -m tests.chaos --intents $(INTENTS) --seed $(SEED) --ledger postgresql --kernels 1
	@$(VENV)/python -m tests.chaos --intents $(INTENTS) --seed $(SEED) --ledger postgresql --kernels 3
	@SEAWALL_LONG=all $(VENV)/python -m pytest tests/integration/test_fleet.py

# Fifty plans at once, two hundred calls in one transaction, and one plan too large.
load: setup
	@$(VENV)/python -m bench load

bench: setup
	@for name in $(BENCH); do $(VENV)/python -m bench $$name || exit 1; done

clean:
	rm -rf .venv devnet/node_modules devnet/build contracts/out contracts/cache dist
	rm -rf .mypy_cache .ruff_cache .hypothesis .import_linter_cache src/seawall/_native*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
