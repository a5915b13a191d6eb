# Everything runs from .venv, which the targets make themselves; PYTHON may name another interpreter (3.11 to 3.13).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo test test-all test-services lint bench campaign warm clean

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), f"etendue needs Python 3.11 or newer, found {sys.version.split()[0]}; set PYTHON=/path/to/python3.11"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -e '.[test]'
	touch $@

$(VENV)/.warm: $(VENV)/.installed $(wildcard src/etendue/kernels/*.py)
	$(BIN)/etendue warm
	touch $@

warm: $(VENV)/.warm

demo: $(VENV)/.warm  ## simulate a small survey, run everything, compare with the truth
	$(BIN)/etendue demo demo-output --overwrite

test: $(VENV)/.warm  ## the unit suite
	$(BIN)/python -m pytest -n 2 -m 'not slow and not services and not thorough'

test-all: $(VENV)/.warm  ## also the end-to-end runs
	$(BIN)/python -m pytest -n 2 -m 'not services'

test-services: $(VENV)/.warm  ## runs in the jobs of a Slurm cluster and by bps, both on this machine
	$(BIN)/python -m pip install -q -e '.[bps]'
	$(BIN)/python -m pytest -m services --durations=12

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m numpydoc.hooks.validate_docstrings $$(git ls-files 'src/*.py')
	$(BIN)/python tools/check_size.py

bench: $(VENV)/.warm  ## cost and accuracy against peers; those that are not installed are skipped with a line
	$(BIN)/python -m pip install -q -e '.[bench]'
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/frame.py
	$(BIN)/python benchmarks/throughput.py

campaign: $(VENV)/.warm
	$(BIN)/python benchmarks/campaign.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info demo-output
