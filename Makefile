# `make demo` trains and compares, `make test` lints and tests, `make bench` measures our own speed. Each first makes
# the virtual environment if it is missing.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: demo bench bench-peers test lint clean

demo: $(VENV)/installed
	$(BIN)/python -m experiments.compare_cores --wandb offline

bench: $(VENV)/installed
	$(BIN)/python -m experiments.benchmark

bench-peers: $(VENV)/installed
	$(BIN)/python -m experiments.benchmark_peers

test: lint
	$(BIN)/python -m pytest -q tests

lint: $(VENV)/installed
	$(BIN)/ruff check rl envs experiments tests
	$(BIN)/ruff format --check rl envs experiments tests

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache

$(VENV)/installed: requirements.txt setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("carryover needs Python 3.11 or newer; make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@
