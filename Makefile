# Two commands for newcomers: `make demo` and `make test`. Both set up everything they need, and are safe to repeat.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Environments of a checkout stay in the checkout, unless told otherwise.
export TFKERNELS_HOME ?= $(CURDIR)/build/tfkernels

.PHONY: release-check demo check test test-lowest test-slow soak lint format bench catalogue conversions docs dist clean

demo: $(VENV)/installed
	$(BIN)/tfkernels demo

# What to run after each change: half a minute.
check: $(VENV)/installed-test lint
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/unit

# All rings. Four files at once on two cores, because many tests wait for other processes; a file is not divided: its tests share kernels.
# What uses the processor: make test ARGUMENTS="--processor-times 60".
test: $(VENV)/installed-test
	$(MAKE) --no-print-directory --jobs 2 lint compiled-tests
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGUMENTS)

# While mypy uses one core: otherwise each of the four would compile all tests at the same time.
compiled-tests: $(VENV)/installed-test
	-@$(BIN)/python -m pytest --collect-only -qq > /dev/null 2>&1

# The long form of the tests that have one: 25 minutes on two cores.
soak: $(VENV)/installed-test
	$(BIN)/python -m pytest --soak --timeout 3600 -rP tests/fault/test_install_whole_or_nothing.py tests/fault/test_soak.py

# The real TensorFlow where other tests have a stand-in, also as conda packages: minutes, and 2 GB of disk for as long.
test-slow: $(VENV)/installed-test
	$(BIN)/python -m pytest -m slow --timeout 1200

# Kernel tests with the oldest packages that pyproject.toml allows, and with those that hosted images pin.
test-lowest: $(VENV)/installed-test
	$(BIN)/python -m tests.support.lowest

# Runs in a kernel that is called, on Python 3.6; the rest of kernels on 3.7. Ruff knows syntax from 3.7 on, vermin also that of 3.6 and
# the standard library. "# novm" marks what is guarded; typing.Protocol is there for mypy only.
PYTHON_36 := transfer kernel_side models saved_models conversion training initialization model_comparison testing alone __init__.py debugger.py env_vars.py errors.py imports.py launcher.py log.py protocol.py recording.py sigint.py start_notes.py start_or_explain.py

# The program of a bundle runs before anything is installed, on any Python from 3.8 on.
OF_BUNDLES := errors.py system/machine.py bundles/contents.py bundles/python_archives.py bundles/start.py

lint: $(VENV)/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vermin --quiet --no-tips --violations --target=3.6- $(addprefix kernels/tfkernels/, $(PYTHON_36))
	$(BIN)/vermin --quiet --no-tips --violations --target=3.6- provisioner/tfprovisioner/environments/tensorflow_checks.py provisioner/conversion_table/specimen_maker
	$(BIN)/vermin --quiet --no-tips --violations --target=3.8- $(addprefix provisioner/tfprovisioner/, $(OF_BUNDLES))
	$(BIN)/vermin --quiet --no-tips --violations --target=3.7- --exclude typing.Protocol kernels

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/installed-bench
	$(BIN)/tfkernels install
	$(BIN)/python -m tests.benchmarks $(SUBJECTS)

# Reads the package index, resolves all locks anew, those for GPUs, too, builds and tries every release: hours. What there is to choose:
# make catalogue ARGUMENTS=--help, for example ARGUMENTS="--resume --only 2.21".
catalogue: $(VENV)/installed-test
	$(BIN)/python -m catalogue_builder $(ARGUMENTS)

# Converts specimens of saved models into the newest releases, and writes docs/reference/conversions.md: an hour.
# make conversions ARGUMENTS="FOLDER --make all --results FILE --write-page"
conversions: $(VENV)/installed-test
	$(BIN)/python -m conversion_table $(ARGUMENTS)

# The documentation site, with every cell of its pages executed: minutes at first, then only what has changed.
# What there is to choose: make docs ARGUMENTS=--help, for example ARGUMENTS=--no-execute.
docs: $(VENV)/installed-test
	$(BIN)/python docs/build.py $(ARGUMENTS)

# Wheel and sdist; the wheel is then installed into an empty environment without a compiler, and tried.
dist: $(VENV)/installed
	rm -rf dist
	$(BIN)/uv build --quiet
	$(BIN)/python -m tests.support.smoke dist/tfkernels-*.whl

# Before a release: wheel and sdist, each on two Pythons with the lowest and the newest packages, with the README's cells.
release-check: $(VENV)/installed-test
	rm -rf dist
	$(BIN)/uv build --quiet
	$(BIN)/python -m tests.support.smoke --every $(ARGUMENTS) dist/tfkernels-*.whl dist/tfkernels-*.tar.gz

$(VENV)/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "tfkernels needs Python 3.10 or newer to set up; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet 'uv>=0.9,<1'

$(VENV)/installed: $(VENV)/bin/uv pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable ".[all]" --group test
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed-test pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable ".[all]" --group bench
	@touch $@

clean:
	rm -rf $(VENV) build dist
