PYTHON ?= python3
# pip takes the build that its indexes offer for this platform; for another (CPU-only, or your CUDA version)
# set TORCH to it.
TORCH ?= torch==2.13.0
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help venv demo test check check-slow docs fmt clean
help:
	@echo "make demo        the whole story on a real model, with a report (10 minutes)"
	@echo "make test        unit, contract and real-model tests"
	@echo "make check       lint, types, layers"
	@echo "make check-slow  heavier tests"
	@echo "make docs        documentation site in build/site; broken links fail"
	@echo "make fmt         format and fix what can be fixed"
	@echo "make clean       remove the environment and caches"

venv: $(READY)
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("forgetwell needs Python 3.11 or newer; this is %d.%d. Set PYTHON=python3.11." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "Making a Python environment in .venv (first time only, 1-3 minutes) …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check "$(TORCH)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $(READY)

demo: $(READY)
	@$(BIN)/forgetwell fetch smollm2
	@$(BIN)/forgetwell demo

test: $(READY)
	$(BIN)/forgetwell fetch smollm2
	$(BIN)/pytest -m "not slow and not gpu"

check: $(READY)
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports

check-slow: $(READY)
	$(BIN)/forgetwell fetch smollm2
	$(BIN)/pytest -m slow

docs: $(READY)
	@$(BIN)/pip install --quiet --disable-pip-version-check -e ".[docs]"
	@$(BIN)/python docs/site/pages.py build/docs
	@NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/mkdocs build
	@echo "Open build/site/index.html (search needs a server: python -m http.server -d build/site)"

fmt: $(READY)
	$(BIN)/ruff check --fix src tests benchmarks docs
	$(BIN)/ruff format src tests benchmarks docs

clean:
	rm -rf .venv dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
