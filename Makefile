# Two commands for newcomers: `make demo` and `make test`. Both set up everything they need, and are safe to repeat.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Environments of a checkout stay in the checkout, unless told otherwise.
export TFKERNELS_HOME ?= $(CURDIR)/build/tfkernels

.PHONY: demo test lint format bench locks clean

demo: $(VENV)/installed
	$(BIN)/tfkernels demo

# Two at once, whole files each: kernels and fixtures of a file are shared by its tests. Longest files first.
test: $(VENV)/installed-test lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/installed-bench
	$(BIN)/tfkernels install
	$(BIN)/python -m tests.benchmarks $(SUBJECTS)

# Resolves releases/*/pyproject.toml anew. Verify what comes out: `tfkernels install --rebuild`, then `make test`.
locks: $(VENV)/installed
	for folder in provisioner/tfprovisioner/releases/*/; do \
	  (cd $$folder && $(CURDIR)/$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --upgrade \
	    --python-version $$(sed -n 's/^requires-python = ">=\([0-9.]*\),.*/\1/p' pyproject.toml) \
	    pyproject.toml --output-file requirements.txt) || exit 1; \
	done

$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "tfkernels needs Python 3.10 or newer to set up; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet 'uv>=0.9,<1'

$(VENV)/installed: $(VENV)/bin/uv pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group test
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed-test pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group bench
	@touch $@

clean:
	rm -rf $(VENV) build dist
