# `make demo` trains and compares, `make test` lints and tests in PROCESSES=3 (some tests wait, so that is one more than
# the CPUs), `make bench` measures our own speed. `make test-all` has the slow tests too (TRIALS=100 SEED=1 of the fault
# driver), `make soak` trains for MINUTES=60 and looks what grows. Each makes the virtual environment if it is missing.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST = $(BIN)/python -m pytest -q -n $(PROCESSES)
PROCESSES ?= 3
MINUTES ?= 60

unexport PYTHONDONTWRITEBYTECODE  # else each process of the tests would compile torch anew

.PHONY: demo bench bench-peers bench-pong test test-all soak lint clean

demo: $(VENV)/installed
	$(BIN)/python -m experiments.compare_cores --wandb offline

bench: $(VENV)/installed
	$(BIN)/python -m experiments.speed.benchmark

bench-peers: $(VENV)/installed
	$(BIN)/python -m experiments.speed.benchmark_peers

bench-pong: $(VENV)/installed
	$(BIN)/python -m experiments.speed.pong_peers

test: lint
	$(PYTEST) tests

test-all: lint
	$(PYTEST) -m "" tests

soak: $(VENV)/installed
	$(BIN)/python -m experiments.speed.soak --minutes $(MINUTES) --out runs/soak-$$(date +%F-%H%M%S)

lint: $(VENV)/installed
	$(BIN)/ruff check rl envs experiments tests
	$(BIN)/ruff format --check rl envs experiments tests

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache

$(VENV)/installed: requirements.txt setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("carryover needs Python 3.11 or newer; make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	$(BIN)/python -c 'import torch, gymnasium, matplotlib.pyplot, tyro, wandb'  # compiles these alone, of thousands
	touch $@
