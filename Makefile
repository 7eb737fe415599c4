# make demo    an example agent over example data       make test    the whole suite
# make lint    ruff and mypy                            make bench   the measurements
# make fidelity  ordinary code beside native    make clean   everything that these made
# make catalog   what the libraries offer, anew   make catalog-check   the catalog against reality

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# An interpreter that was removed or replaced leaves an environment that no longer starts: make it anew.
$(shell test ! -e $(STAMP) || $(BIN)/python -c '' 2>/dev/null || rm -f $(STAMP))

.PHONY: demo test lint bench fidelity catalog catalog-check clean
.DELETE_ON_ERROR:

# `python -m`, not the scripts in bin: they hold absolute paths and would run another checkout after a copy.
demo: $(STAMP)
	@$(BIN)/python -m proxyplane demo

test: $(STAMP)
	$(BIN)/python -m pytest -q

lint: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

bench: $(STAMP)
	$(BIN)/python -m benchmarks

catalog: $(STAMP)
	$(BIN)/python -m proxyplane.catalogs.generate

catalog-check: $(STAMP)
	$(BIN)/python -m proxyplane.catalogs.generate --check
	$(BIN)/python -m tests.catalog.reality

fidelity: $(STAMP)
	$(BIN)/python -m benchmarks.fidelity

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("proxyplane needs Python 3.11 or newer and $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.12 ...")'
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .demo dist build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
