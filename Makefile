# The two commands: `make run` and `make test`. Each makes what it needs, in .venv.
PYTHON ?= python3
BIN := .venv/bin
# As many processes as there are cores; each has servers of its own.
PARALLEL ?= -n logical --maxprocesses=4 --dist worksteal

.PHONY: docs run test test-long faults bench lint types architecture format audit lock clean

run: .venv/.run
	@exec $(BIN)/satupeta dev

test: .venv/.test lint types architecture
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q $(PARALLEL)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --fail-under=90

test-long: .venv/.test
	$(BIN)/python -m pytest -q -o faulthandler_exit_on_timeout=false -m "long or not long"

# Breaks real servers in every way that docs/reliability.md names, and writes its figures there.
faults: .venv/.test
	$(BIN)/python -m pytest -q -o faulthandler_exit_on_timeout=false -m "long or not long" --figures tests/faults

# Writes benchmarks/RESULTS.md; BENCH=--million measures a million mapsets, too.
bench: .venv/.test
	$(BIN)/python -m benchmarks.serving $(BENCH)

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.test
	$(BIN)/mypy

architecture: .venv/.test
	$(BIN)/lint-imports --config setup.cfg

# Known flaws of the dependencies; the one check that needs the internet.
audit:
	@PYTHON=$(PYTHON) .ci/audit

# The site of docs/, into build/site.
docs: .venv/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: .venv/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it with PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.run: requirements-run.lock pyproject.toml | .venv/pyvenv.cfg
	@echo "Installing what Satu Peta needs into .venv"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-run.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.test: requirements-test.lock pyproject.toml | .venv/.run
	@echo "Installing what the tests need into .venv"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-test.lock
	@touch $@

# Needs uv; run it after a change of the dependencies in pyproject.toml.
lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" --extra tracing pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" --extra embedded --extra build pyproject.toml -o requirements-run.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" --all-extras pyproject.toml -o requirements-test.lock

clean:
	rm -rf .venv build dist *.egg-info
