# make train: a virtual environment, the installation, and a training run on the
#   embedded market. make test: linters, types and tests. Both need only Python.
# make test-versions: trainings, a page and the fast tests with the newest, with
#   Colab's and with the oldest versions; ROWS=colab runs one of the three.
# make docs: the pages of docs/ and the reference as a site, in build/docs.
# make release: wheel and sdist in dist/, checked, installed and tested elsewhere.
PYTHON ?= python3
VENV ?= .venv
SEED ?= 0
WORKDIR ?= runs/td3_small_seed$(SEED)
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check
# Modules are compiled when they are first imported: most never are, and to
# compile them takes half of an installation.
INSTALL = $(PIP) install --quiet --no-compile
WORKERS ?= 2
ROWS ?=
# Further flags for make train, e.g. ARGS=--resume
ARGS ?=
# A file's tests share slow fixtures, so one process runs them all.
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile \
  --no-loadscope-reorder

.PHONY: train test test-long test-versions lint format docs release clean

# An existing run is no error; the message says how to continue.
IS_THERE = $(if $(findstring --resume,$(ARGS)),false,test -e "$(WORKDIR)/$(1)")
OTHER := $(if $(filter 1,$(SEED)),2,1)

train: $(VENV)/.run
	@if $(call IS_THERE,summary.json); then \
	  echo "$(WORKDIR) holds a finished run: see $(WORKDIR)/report.html"; \
	  echo 'another seed:      make train SEED=$(OTHER)'; \
	  echo 'in another folder: make train WORKDIR=runs/other'; \
	elif $(call IS_THERE,config.json); then \
	  echo "$(WORKDIR) holds a run that has not finished"; \
	  echo 'resume it:         make train ARGS=--resume'; \
	  echo 'another seed:      make train SEED=$(OTHER)'; \
	  echo 'in another folder: make train WORKDIR=runs/other'; \
	else \
	  exec $(BIN)/python -m experiments.td3 \
	    --config=experiments/configs/td3.py:small \
	    --config.seed="$(SEED)" --workdir="$(WORKDIR)" $(ARGS); \
	fi

test: lint
	$(PYTEST) -q

# Without the quick compilation of make test: these tests compute for longer.
test-long: $(VENV)/.test $(VENV)/.docs
	XLA_FLAGS= $(PYTEST) -q -m long

# Not part of make test: it installs the newest versions of that day.
test-versions:
	$(PYTHON) tests/run_versions.py --workers=$(WORKERS) $(ROWS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A warning is an error: links that lead nowhere, docstrings that are not read.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -q -E docs build/docs
	@echo 'see build/docs/index.html'

# Not part of make test: it installs everything again.
release:
	$(PYTHON) tests/run_release.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python setup.py constraints.txt
	$(INSTALL) -c constraints.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/bin/python setup.py constraints.txt
	$(INSTALL) -c constraints.txt -e .[test]
	touch $@

$(VENV)/.docs: $(VENV)/bin/python setup.py constraints.txt
	$(INSTALL) -c constraints.txt -e .[docs]
	touch $@

clean:
	rm -rf $(VENV) .venv-versions build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
