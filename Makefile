# Everything a newcomer needs: make demo, make test. Nothing else has to be installed but
# Python 3.11 or later; a virtual environment is set up on first use.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup hooks demo test test-all test-gpu soak lint format docs tutorial-images bench fake-gpu bench-gpu clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

setup: $(READY) ## set up the virtual environment

demo: $(READY) ## train a 5 x 5 grid of seeds on the embedded task and print its scores
	$(BIN)/seedlab demo

test: $(READY) ## the default test suite (at most 5 minutes on two cores)
	$(BIN)/python -m pytest -n auto --dist loadscope

test-all: $(READY) ## the whole test suite, slow tests included
	$(BIN)/python -m pytest -n auto --dist loadscope -m 'not gpu'

soak: $(READY) ## kills, damages and hostile files, all of them (hours); the table is tests/soak/README.md
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.soak --workers 2

test-gpu: ## the tests that need a CUDA device; installs nothing, uses $(PYTHON) as it is
	PYTHONPATH=. $(PYTHON) -m pytest -m gpu tests/gpu

lint: $(READY) ## style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

hooks: $(READY) ## run the linter before every commit
	$(BIN)/pre-commit install

format: $(READY) ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## write the parts of the documentation that come from the code
	$(BIN)/python docs/write_technique_table.py
	$(BIN)/python docs/write_configuration.py

tutorial-images: $(READY) ## run the tutorial and keep two figures of its report
	$(BIN)/python docs/write_tutorial_images.py

bench: $(READY) ## benchmarks, side by side with what one would use instead
	for script in experiments/benchmarks/bench_*.py; do $(BIN)/python $$script || exit 1; done

fake-gpu: $(READY) ## kernels, bytes, memory and predicted time on a GPU that is not there
	PYTHONPATH=. OMP_NUM_THREADS=1 $(BIN)/python experiments/benchmarks/fake_gpu.py

bench-gpu: ## the engines on a GPU, at most nine minutes; installs nothing, uses $(PYTHON) as it is
	PYTHONPATH=. $(PYTHON) experiments/benchmarks/gpu_engines.py

clean: ## remove the virtual environment and caches (studies are kept)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
