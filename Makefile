# make train: a virtual environment, the installation, and a training run on the
#   embedded market. make test: linters, types and tests. Both need only Python.
# make test-versions: trainings, a page and the fast tests with the newest, with
#   Colab's and with the oldest versions; ROWS=colab tries one of the three.
PYTHON ?= python3
VENV ?= .venv
WORKDIR ?= runs/td3_small_seed$(SEED)
SEED ?= 0
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check
WORKERS ?= 2
ROWS ?=
# More flags for make train, e.g. ARGS=--resume
ARGS ?=

.PHONY: train test test-long test-versions lint format clean

train: $(VENV)/.run
	$(BIN)/python -m experiments.td3 \
	  --config=experiments/configs/td3.py:small \
	  --config.seed=$(SEED) --workdir=$(WORKDIR) $(ARGS)

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) -q

# Without the quick compilation of make test: these compute more than compile.
test-long: $(VENV)/.test
	XLA_FLAGS= $(BIN)/python -m pytest -n $(WORKERS) -q -m long

# Not part of make test: it installs whatever is newest on that day.
test-versions:
	$(PYTHON) tests/run_versions.py --workers=$(WORKERS) $(ROWS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python setup.py constraints.txt
	$(PIP) install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/bin/python setup.py constraints.txt
	$(PIP) install --quiet -c constraints.txt -e .[test]
	touch $@

clean:
	rm -rf $(VENV) .venv-versions build *.egg-info .mypy_cache .pytest_cache .ruff_cache
