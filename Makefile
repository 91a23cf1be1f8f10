# What CI and the README call. Each target works as the first command after a clone.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RECIPE ?= demo

.PHONY: demo refresh test check ui bench serve clean setup

# One command from a crawl to a served model.
demo: $(READY)
	$(BIN)/llm-assets demo --recipe $(RECIPE)

# The second snapshot of the same site: what is new costs, what is not does not.
refresh: $(READY)
	$(BIN)/llm-assets refresh --recipe $(RECIPE)

# All tests, with an end-to-end run of the whole graph on a small crawl. Two at a time: many wait for other processes.
test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term --cov-fail-under=85

# Formatting, types, layers.
check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The Dagster UI over the store's history, at http://127.0.0.1:3000.
ui: $(READY)
	$(BIN)/llm-assets ui --recipe $(RECIPE)

# Each claim against its peer, in one run, as a ratio.
bench: $(READY)
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

# The gateway over the exported model, at http://127.0.0.1:8080.
serve: $(READY)
	$(BIN)/llm-assets serve --recipe $(RECIPE)

# Everything that was made; the virtual environment stays.
clean:
	rm -rf data/store .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not here; install Python 3.11 or say make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)
