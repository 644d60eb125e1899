# Every target sets up .venv by itself and is quick when nothing changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check -q install
.DEFAULT_GOAL := help
.PHONY: help demo test test-system soak crash fuzz check bench bench-check report native proto clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e '.[test]'
	@touch $@ $(VENV)/.base

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.base $(VENV)/.test

demo: $(VENV)/.base ## Run the whole story on real data: KMS, keys, snapshot, rotations, restore
	$(BIN)/keystore demo $(FILE)

test: $(VENV)/.test ## Run the tests (Python and the package registries are enough)
	$(BIN)/pytest -n 2 -m 'not system and not soak'

test-system: $(VENV)/.dev ## Run the tests that need Debian packages or root; installs them
	.ci/system-packages
	$(PIP) 'pandas>=2.3' 'polars>=1.35'
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -m system

soak: $(VENV)/.test ## Run the long forms: large files, many kills, and a crowd of threads for: make soak SOAK_MINUTES=20
	SOAK_MINUTES=$(or $(SOAK_MINUTES),20) $(BIN)/pytest -m soak -s --timeout 3600

CRASH_TESTS := $(addprefix tests/,pages/test_crash.py pages/test_faults.py node/test_crash.py objects/test_crash.py \
	snapshots/test_crash.py log/test_crash.py \
	emulator/persistence/test_crash.py)
crash: $(VENV)/.test ## Open a million states that a crash can leave, or as many as: make crash CRASH_STATES=100000
	CRASH_STATES=$(or $(CRASH_STATES),1000000) $(BIN)/pytest -n 2 --timeout 7200 $(CRASH_TESTS)

fuzz: $(VENV)/.test ## Fuzz every decoder: make fuzz FUZZ_SECONDS=3600
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(PIP) --only-binary atheris -e '.[fuzz]' || true
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),300) $(BIN)/python -m tests.fuzz.run

check: $(VENV)/.dev ## Lint, types, direction of imports, generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python proto/generate.py --check

bench: $(VENV)/.dev ## Measure; prints figures, keeps nothing
	$(BIN)/pytest benchmarks --benchmark-only --benchmark-disable-gc -p no:cacheprovider -o addopts=

bench-check: $(VENV)/.base ## Tell what became slower than benchmarks/baseline.json, by ratios that hold on any machine
	$(BIN)/python -m benchmarks.check

report: $(VENV)/.dev ## Measure everything, and write a page with plots to benchmarks/results (a quarter of an hour)
	$(BIN)/python -m benchmarks.report $(REPORT)

native: $(VENV)/bin/python ## Build the native page kernel into .venv (needs cargo 1.85 or later, and a C compiler)
	$(PIP) ./native

proto: $(VENV)/.dev ## Generate proto/gen from proto/*.proto again
	$(BIN)/python proto/generate.py

clean: ## Remove the virtual environment and all caches
	rm -rf $(VENV) native/target .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -prune -exec rm -rf {} +
