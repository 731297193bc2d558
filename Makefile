# Two commands need nothing but Python 3.11 and git: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= demo

.PHONY: install demo test test-all check bench gpu clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "Python 3.11 or newer is needed, this is %d.%d; pass PYTHON=..." % v[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --editable ".[dev]"
	touch $@

demo: install
	$(BIN)/radcommons demo --out $(OUT)

# All tests but those of more than ten seconds.
test: install
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

test-all: install
	$(BIN)/pytest -n 2 --dist worksteal

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: install
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

# Measures a GPU in under 12 minutes; needs no network. STORE: films of 128 pixels; PARTS: some of the parts alone.
gpu: OUT = gpu-results
gpu:
	$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) benchmarks/gpu.py --out "$(OUT)" $(if $(STORE),--store "$(STORE)") $(if $(PARTS),--parts $(PARTS))

clean:
	rm -rf .venv demo gpu-results .pytest_cache .mypy_cache .ruff_cache .hypothesis
