# Everything a person or CI runs. Each target sets up what it needs in a virtual environment beside this file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo demo-check scenarios simulation test check bench fuzz clean

help:
	@echo "make demo        a federation on this machine that exchanges real messages (Ctrl-C stops it)"
	@echo "make demo-check  the same, unattended; exits by result"
	@echo "make scenarios   the acceptance scenarios through real gateways, a row each"
	@echo "make simulation  the whole country, scaled: 8,000 parties, a registry of persons, a day of messages"
	@echo "make test        every test"
	@echo "make check       format, lint, types and the fast tests"
	@echo "make bench       round trips per second and latency, as ratios in one run"
	@echo "make fuzz        parsers against random input (SECONDS_EACH=20)"
	@echo "make clean       removes what the targets above made"

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (set PYTHON=...)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python -m benchmarks.demo $(if $(SAY),--lang $(SAY))

demo-check: $(STAMP)
	$(BIN)/python -m benchmarks.demo --check $(if $(SAY),--lang $(SAY))

scenarios: $(STAMP)
	$(BIN)/python -m benchmarks.scenarios
	$(BIN)/python -m benchmarks.simulation --small

simulation: $(STAMP)
	$(BIN)/python -m benchmarks.simulation

test: $(STAMP)
	$(BIN)/python -m pytest -q tests

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -m "not processes" tests

bench: $(STAMP)
	$(BIN)/python -m benchmarks.load

fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz --seconds $${SECONDS_EACH:-20}

clean:
	rm -rf $(VENV) .demo .scenarios .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis build dist
