# The ten commands of a developer's day; AGENTS.md says when.
BIN := .venv/bin
AREA :=
.DEFAULT_GOAL := help
.PHONY: help setup test format lint generate answers docs gates cost ci

help:  ## these lines
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

setup:  ## a virtual environment with everything the tests need
	python3 -m venv .venv
	$(BIN)/pip install -q -e '.[dev]'

test:  ## all tests, or those of one room: make test AREA=launch
	$(BIN)/pytest -q $(if $(AREA),tests/$(AREA),-n 2)

format:  ## imports sorted, code formatted
	$(BIN)/ruff check -q --fix .
	$(BIN)/ruff format .

lint:  ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

generate:  ## every generated file, written again
	$(BIN)/python scripts/build_architecture.py
	$(BIN)/python scripts/build_client_configs.py
	$(BIN)/python scripts/build_library.py
	$(BIN)/python scripts/write_snapshots.py
	$(BIN)/python scripts/build_readme.py

answers:  ## the stored answers, rewritten; review the difference
	$(BIN)/python benchmarks/regression.py

docs:  ## the examples of the docs, run
	$(BIN)/pytest -q tests/test_docs.py tests/test_readme.py tests/test_examples.py

gates:  ## agreement with vLLM's code and with measured runs
	$(BIN)/python benchmarks/parameters.py
	$(BIN)/python benchmarks/oracle.py
	$(BIN)/python benchmarks/acceptance.py --check
	$(BIN)/python benchmarks/shadow.py
	$(BIN)/python benchmarks/accuracy.py --check
	$(BIN)/python benchmarks/architectures.py
	$(BIN)/python benchmarks/recipes.py --check
	$(BIN)/python benchmarks/regression.py --check
	$(BIN)/python benchmarks/serving_accuracy.py --check
	$(BIN)/python benchmarks/recipe_commands.py --check

cost:  ## what start-up, answers and searches cost
	$(BIN)/python benchmarks/speed.py --check
	$(BIN)/python benchmarks/search_speed.py --check
	$(BIN)/python benchmarks/server_cost.py --check

ci:  ## all that a change must pass
	.ci/run
