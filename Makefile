# `make demo` and `make test` are all a fresh machine needs: each creates .venv and installs first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# The tests start the service some hundred times; it must not be compiled anew each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test check format soak bench clean

help: ## Show what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(INSTALLED): pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv $(VENV)
	# torch first, by its exact version: only that finds the CPU build everywhere.
	$(BIN)/pip install --quiet --disable-pip-version-check $$(grep '^torch==' .ci/constraints.txt)
	$(BIN)/pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e '.[dev]'
	touch $(INSTALLED)

install: $(INSTALLED) ## Create .venv and install retouchd into it

demo: $(INSTALLED) ## Repair a few real photos and show where the results are
	$(BIN)/retouchd demo

# In the order that tests/conftest.py gives them.
test: $(INSTALLED) ## Run the tests (under 10 minutes on 2 cores)
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder

check: $(INSTALLED) ## Lint, format, strict types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: $(INSTALLED) ## Mend format and imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: $(INSTALLED) ## Run the long tests: thousands of kills
	$(BIN)/python -m pytest -q -m soak --timeout=7200

bench: $(INSTALLED) ## Measure, against baselines in the same run
	$(BIN)/python -m benchmarks

clean: ## Remove what make created
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
