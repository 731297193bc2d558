# Two commands need nothing but Python 3.11 and git: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= demo

.PHONY: install demo test check bench clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "Python 3.11 or newer is needed, this is %d.%d; pass PYTHON=..." % v[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --editable ".[dev]"
	touch $@

demo: install
	$(BIN)/radcommons demo --out $(OUT)

test: install
	$(BIN)/pytest -n 2

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: install
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf .venv demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
