# Everything a person does with this checkout. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= .demo
PEERS := .venv-bench
OLDER_DBT := .venv-dbt110
ENGINES := .venv-engines
FUZZ ?= --results benchmarks/fuzz.json

export UV_PYTHON_DOWNLOADS := never
export DO_NOT_TRACK := 1

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: pyproject.toml uv.lock scripts/bootstrap.sh
	@PYTHON=$(PYTHON) bash scripts/bootstrap.sh $(VENV)
	@touch $@

.PHONY: install
install: $(VENV)/.ready ## make .venv/ with everything in it

.PHONY: demo
demo: install ## three generated brands: raw tables to a delivered, consented audience
	@$(BIN)/fed-audience demo --dir $(DEMO)

.PHONY: test
test: install ## run every test
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

$(OLDER_DBT)/.ready: scripts/older_dbt.sh | install
	@bash scripts/older_dbt.sh $(VENV) $(OLDER_DBT)
	@touch $@

.PHONY: test-older-dbt
test-older-dbt: $(OLDER_DBT)/.ready ## parse and build the dbt package with dbt 1.10
	@$(BIN)/python -m tests.dbt_package.with_dbt $(abspath $(OLDER_DBT))/bin/dbt

$(ENGINES)/.ready: scripts/engines.sh | install
	@bash scripts/engines.sh $(VENV) $(ENGINES)
	@touch $@

.PHONY: test-engines
test-engines: $(ENGINES)/.ready ## run Spark here and Snowflake against a fake server: needs Java 17, some minutes
	@PYSPARK_PYTHON=$(abspath $(ENGINES))/bin/python $(ENGINES)/bin/python -m pytest tests/warehouse/contract $(PYTEST_ARGS)

.PHONY: lint
lint: install ## ruff, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

.PHONY: format
format: install ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

$(PEERS)/.ready: scripts/bench_peers.sh | install
	@bash scripts/bench_peers.sh $(VENV) $(PEERS)
	@touch $@

.PHONY: bench-peers
bench-peers: $(PEERS)/.ready ## make .venv-bench/ with XGBoost 3.2 and FedTree

.PHONY: bench
bench: install bench-peers ## measure, 50 minutes; BENCH="--part privacy" or "--only quality" narrows it
	@$(BIN)/python -m benchmarks $(BENCH)

.PHONY: fuzz
fuzz: install ## break 100,000 model texts for the strict reader, and send 100,000 inputs to an open port, 6 minutes
	@$(BIN)/python -m tests.gbdt.models.fuzz_reader $(FUZZ)
	@$(BIN)/python -m tests.federation.grpc.fuzz_port $(FUZZ)

.PHONY: chaos
chaos: install ## kill random processes of 250 federations at random moments, 15 minutes
	@$(BIN)/python -m tests.chaos $(CHAOS)

.PHONY: scale
scale: install ## 500 sites on this machine: rounds, memory, a training, 12 minutes at most
	@$(BIN)/python -m benchmarks.scale $(SCALE)

.PHONY: docs
docs: install ## rewrite the generated pages under docs/
	@$(BIN)/python scripts/write_docs.py

.PHONY: build
build: install ## build the wheel into dist/
	@$(BIN)/uv build --wheel

.PHONY: clean
clean: ## remove the environment, the demo and all caches
	@rm -rf $(VENV) $(DEMO) $(PEERS) $(OLDER_DBT) $(ENGINES) .bench dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
