# okx-recorder: every target below says what it does; `make` alone prints this list.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TESTS ?= tests
WORKERS ?= 3
PYTEST = -m pytest --numprocesses $(WORKERS) --dist worksteal $(TESTS)

.PHONY: help run test test-floors lint types bench bench-memory bench-seek bench-sinks soak fuzz torture test-clients test-sinks test-hftbacktest docs datasets clean

help: ## print this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.installed ## install what is needed and run the demo: serve, record, verify, query, replay
	@$(BIN)/replay demo

test: $(VENV)/.installed-dev ## install what is needed and run all tests (style and types included)
	@$(BIN)/python -m compileall -q recorder replay tests # once, not in each of a thousand children
	$(BIN)/python $(PYTEST)

test-floors: .venv-floors/.installed ## the same tests with the oldest supported version of each library
	@.venv-floors/bin/python -m compileall -q recorder replay tests
	.venv-floors/bin/python $(PYTEST) --ignore=tests/test_style.py

test-clients: $(VENV)/.installed-dev ## real OKX clients follow a replay (ccxt, nautilus_trader, python-okx, cryptofeed, tardis-dev)
	$(BIN)/python -m tests.clients.install
	$(BIN)/python -m pytest -o faulthandler_timeout=600 tests/clients

test-sinks: $(VENV)/.installed-dev ## real PostgreSQL and Redis killed, stopped and started while they are fed (SINKS_ROUNDS=5)
	SINKS_ROUNDS=$${SINKS_ROUNDS:-5} $(BIN)/python -m pytest tests/recorder/sinks

test-hftbacktest: $(VENV)/.installed-dev .venv-hftbacktest/.installed ## the same orders at hftbacktest's exchange, in its own environment
	HFTBACKTEST_PYTHON=.venv-hftbacktest/bin/python $(BIN)/python -m pytest -s tests/hftbacktest

lint: $(VENV)/.installed-dev ## ruff: format check and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.installed-dev ## mypy --strict
	$(BIN)/mypy

bench: $(VENV)/.installed ## measure speed and size as ratios in one run (BENCH_FRAMES=200000)
	$(BIN)/python -m tests.bench

bench-memory: $(VENV)/.installed ## pass millions of frames through and watch the memory (BENCH_FRAMES=10000000)
	$(BIN)/python -m tests.bench.memory

bench-sinks: $(VENV)/.installed-dev ## rows a second into PostgreSQL, and what a sink costs a recording (BENCH_FRAMES=200000)
	$(BIN)/python -m tests.bench.sinks

bench-seek: $(VENV)/.installed ## seek to random instants of ten million frames (BENCH_FRAMES=10000000)
	$(BIN)/python -m tests.bench.seeking

soak: $(VENV)/.installed-dev ## record from a faulty venue and check that nothing is lost (SOAK_SECONDS=600 SOAK_SEED=…)
	$(BIN)/python -m tests.soak

fuzz: $(VENV)/.installed ## any bytes into parser, interpreter, journal and sealed readers (FUZZ_SECONDS=60 FUZZ_SEED=0)
	$(BIN)/python -m tests.fuzz

torture: $(VENV)/.installed ## kill, cut the power, fill the disk, flip bits (TORTURE_MINUTES=20 TORTURE_SEED=0)
	$(BIN)/python -m tests.torture

docs: $(VENV)/.installed-dev ## put the current --help texts and query results into the docs
	$(BIN)/python -m tests.command_docs
	$(BIN)/python -m tests.cookbook

datasets: $(VENV)/.installed ## rebuild the committed captures (same digests on every machine)
	$(BIN)/python -m datasets.build

clean: ## remove virtual environments and caches (never a capture)
	rm -rf .venv .venv-floors .venv-clients .venv-hftbacktest .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: expected Python 3.11 or newer, found $$($(PYTHON) -V 2>&1); set PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "installing into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	@echo "installing the test tools into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --group dev
	@touch $@

.venv-floors/.installed: pyproject.toml tests/floors.txt
	$(PYTHON) -m venv .venv-floors
	@.venv-floors/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	@.venv-floors/bin/python -m pip install --quiet --editable . --group dev --constraint tests/floors.txt
	@touch $@

# It pins numpy below ours, so it is never installed beside us.
.venv-hftbacktest/.installed:
	$(PYTHON) -m venv .venv-hftbacktest
	@.venv-hftbacktest/bin/python -m pip install --quiet "hftbacktest==2.4.4"
	@touch $@
