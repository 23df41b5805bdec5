# Everything happens in .venv; `make demo` is the place to start.
PYTHON ?= python3
BIN := .venv/bin
TWO_CORES := -n 2 --dist worksteal
# What slow tests start waits much; what a file's tests share is made once.
BY_FILE := -n 3 --dist loadfile --no-loadscope-reorder
LOWER := $(addprefix tests/,augment data engine evaluation losses methods nets runs trained) \
	$(filter-out tests/test_contract.py tests/test_docs.py,$(wildcard tests/test_*.py))

.DEFAULT_GOAL := help
.PHONY: help install demo quick test test-slow check docs format bench leaderboard clean

help:  ## what there is to make
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch .venv/installed

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev,docs,timm,tensorboard]'
	touch .venv/installed-dev

install: .venv/installed  ## make .venv and install sslcli into it

demo: .venv/installed  ## train SimCLR on real pictures and see what it is worth (3 minutes)
	$(BIN)/sslcli pretrain method=simclr
	$(BIN)/sslcli linear-eval run=last

quick: .venv/installed-dev  ## the tests of the lower rooms and of the architecture, in one process (40 s)
	$(BIN)/python -m pytest -m 'not slow and not commands and not large' $(LOWER)

test: .venv/installed-dev  ## all tests but the slow ones, on two cores (4 minutes)
	$(BIN)/python -m pytest $(TWO_CORES)

test-slow: .venv/installed-dev  ## the tests that start processes, browsers and launchers (10 minutes)
	$(BIN)/python -m pytest $(BY_FILE) -m '$(or $(SLOW),slow)'

check: .venv/installed-dev  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/installed-dev  ## build the docs site into build/site; a dead link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

format: .venv/installed-dev  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/installed-dev  ## measure what docs/measurements.md claims (AGAINST=lightly: beside it, where it is installed)
	$(BIN)/python -m benchmarks $(if $(AGAINST),--against $(AGAINST))

leaderboard: .venv/installed-dev  ## every method on one table: docs/leaderboard.md (hours; may be stopped and started again)
	$(BIN)/python -m benchmarks.leaderboard

clean:  ## remove .venv and what tools left; runs in outputs/ stay
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
