# The verbs of this repository: `make` alone prints them. Each sets up what it needs, once, in $(VENV).
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# The interpreter that makes the environment; another one: make PY=python3.13 test
PY ?= python3
VENV ?= .venv
# Test processes side by side (many wait for a broker or a timer more than they work); tests that share a broker stay together by their xdist group.
JOBS ?= 3
# Seeds of the simulation: how many, or FROM:TO; of which run: mesh, money, memory, sealed, ahead, all.
SEEDS ?= 200
RUN ?= mesh
# What only computes: one process a core.
CORES ?= $(shell getconf _NPROCESSORS_ONLN)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
DEV := $(VENV)/.dev
LOCAL := $(VENV)/.local

.PHONY: help setup demo test check bench bench-instructions bench-router bench-router-peers bench-memory bench-peers soak compare docs up down simulate mutants chaos

help: ## these verbs
	@echo "make VERB, where VERB is one of"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(DEV) ## the development environment in .venv (again only after a change of pyproject.toml)

demo: $(LOCAL) ## the sample job on a real Kafka and a real small model, with workers killed on the way
	$(BIN)/aiosv3 demo

test: $(DEV) ## all tests, on a real Kafka, with branch coverage
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup --cov --cov-report=term

check: $(DEV) docs ## format, lint, types, layout, documentation and its snippets
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/python -m pytest -q tests/test_layout.py tests/test_house.py tests/docs

bench: $(DEV) ## the benchmarks, printed as the reports quote them; of routing: bench-router, bench-router-peers; bench-memory
	$(BIN)/python -m bench

# Processor instructions of a task, counted by callgrind: over 5 % more than measured before is an error (a minute).
bench-instructions: $(DEV)
	$(BIN)/python bench/instructions.py

# One run each, in pairs (8 minutes; with other gateways, which are installed the first time (900 MB), and then with three
# replicas of each record, 20).
bench-router: $(DEV)
	$(BIN)/python bench/router_bench.py

bench-router-peers: $(DEV)
	$(BIN)/python bench/router_bench.py --only calls --peers
	$(BIN)/python bench/router_bench.py --only calls --replicas 3

# What memory costs: one run, in pairs (10 minutes).
bench-memory: $(DEV)
	$(BIN)/python bench/memory_bench.py

# The runtime and durable steps beside others, fifteen minutes and 1.5 GB the first time; QUICK=1: four minutes.
bench-peers: $(DEV)
	$(BIN)/python bench/peers_bench.py $(if $(QUICK),--quick) --write

soak: $(DEV) ## memory of one worker at 80 % of what it can do, for 20 minutes (MINUTES=5)
	$(BIN)/python bench/soak.py --minutes $(or $(MINUTES),20) --write

compare: $(DEV) ## the same seven programs on other frameworks too, killed and restarted (20 minutes, 1 GB of downloads)
	$(BIN)/python -m docs.compare.run --write

docs: $(DEV) ## the documentation in docs/_build/html, a warning is an error
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

up: $(LOCAL) ## the embedded stack and the workers, in the background
	$(BIN)/aiosv3 up --detach

down: $(LOCAL) ## stops what `up` started
	$(BIN)/aiosv3 down

simulate: $(DEV) ## the production classes under random schedules of crashes, by seed (SEEDS=10000, RUN=all)
	$(BIN)/python tests/simulation/simulate.py --run $(RUN) --seeds $(SEEDS) --jobs $(CORES)

mutants: $(DEV) ## the simulation against code that was broken on purpose: it must find each mutant (minutes)
	$(BIN)/python tests/simulation/mutants.py --jobs $(CORES)

chaos: $(DEV) ## real processes on real Kafka, killed, stopped, cut off: nothing lost, duplicated, reordered, repeated (15 minutes)
	$(BIN)/python -m tests.chaos

$(DEV): pyproject.toml | $(BIN)/python
	@echo "installing the development environment into $(VENV) (the first time: some 400 MB of downloads)"
	$(PIP) --editable '.[dev]'
	@touch $(DEV) $(LOCAL)

$(LOCAL): pyproject.toml | $(BIN)/python
	@echo "installing AIOSv3 with its local stack into $(VENV) (the first time: some 300 MB of downloads)"
	$(PIP) --editable '.[local]'
	@touch $(LOCAL)

# `ensurepip` is asked for by name: some distributions ship a `venv` that cannot put pip into what it makes.
$(BIN)/python:
	@command -v "$(PY)" >/dev/null || { \
	  echo "There is no '$(PY)' on this machine. Install Python 3.11 or newer, or name one: make PY=python3.12 ..." >&2; exit 1; }
	@"$(PY)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$$("$(PY)" --version) is too old: AIOSv3 needs 3.11 or newer. Name one: make PY=python3.12 ..." >&2; exit 1; }
	@"$(PY)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PY)' has no venv module that works. On Debian and Ubuntu: apt-get install python3-venv" >&2; \
	  echo "Or name a Python that has one: make PY=python3.12 ..." >&2; exit 1; }
	"$(PY)" -m venv "$(VENV)" || { rm -rf "$(VENV)"; exit 1; }
