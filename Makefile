# Everything a person or CI runs. Each target sets up what it needs in a virtual environment beside this file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TOOLKITS := .toolkits
# How many tests run at a time; those of one file share what they start.
JOBS ?= 2
TOGETHER := -n $(JOBS) --dist loadfile
# The tests that `tests/ownlevel.py` runs: each refusal and each way of a decision of schemas, certs and gateway/exchange must be reached by one of them.
OWN_LEVEL := tests/unit/schemas tests/unit/certs tests/unit/gateway/exchange
DEMO_OPTIONS = $(if $(SAY),--lang $(SAY)) $(if $(BASE),--base $(BASE))

.DEFAULT_GOAL := help
.PHONY: help packages docs toolkits screenshots demo demo-check scenarios simulation test lint texts check bench instructions fuzz clean

help:
	@echo "make demo        a federation on this machine that exchanges real messages (Ctrl-C stops it; BASE=127.60.0: where)"
	@echo "make demo-check  the same, unattended; exits by result"
	@echo "make scenarios   the acceptance scenarios through real gateways, a row each"
	@echo "make simulation  the whole country, scaled: 8,000 parties, a registry of persons, a day of messages; 22 institutes that run"
	@echo "make test        every test (JOBS=2 at a time)"
	@echo "make lint        format, lint and types"
	@echo "make check       format, lint, types and the fast tests"
	@echo "make texts       brings the catalogues of texts in step with the source"
	@echo "make bench       round trips per second and latency, as ratios in one run"
	@echo "make instructions  instructions an exchange, against the last row of this kind of machine (needs valgrind)"
	@echo "make fuzz        parsers against random input (SECONDS_EACH=20)"
	@echo "make packages    Debian packages (and rpms, where rpmbuild is) of both servers, the social-security system and the tools, in dist/"
	@echo "make docs        the documentation as a site, in dist/site"
	@echo "make screenshots  every page in every look, judged by axe, with its picture in .screenshots"
	@echo "make clean       removes what the targets above made"

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (set PYTHON=...)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

# Foreign toolkits that tests call and are called by, each in an environment of its own; each list is whole, so nothing beside it is installed.
$(TOOLKITS)/.installed: $(wildcard tests/interop/toolkits/*.txt)
	for list in $^; do \
	    name=$$(basename "$$list" .txt); \
	    $(PYTHON) -m venv "$(TOOLKITS)/$$name" && \
	    "$(TOOLKITS)/$$name/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$$list" || exit 1; \
	done
	@touch $@

toolkits: $(TOOLKITS)/.installed

demo: $(STAMP)
	$(BIN)/python -m benchmarks.demo $(DEMO_OPTIONS)

demo-check: $(STAMP)
	$(BIN)/python -m benchmarks.demo --check $(DEMO_OPTIONS)

scenarios: $(STAMP)
	$(BIN)/python -m benchmarks.scenarios
	$(BIN)/python -m benchmarks.simulation --small

simulation: $(STAMP)
	$(BIN)/python -m benchmarks.simulation
	$(BIN)/python -m benchmarks.nation

# Every page of both consoles and of the portals in four widths, both themes and both languages, judged by axe; pictures in .screenshots.
screenshots: $(STAMP) toolkits
	SACBE_SCREENSHOTS=.screenshots SACBE_EVERY_LOOK=1 $(BIN)/python -m pytest -q --timeout 3600 $(TOGETHER) tests/integration/test_consoles.py tests/integration/test_browser.py -k eyes

# Without a network the toolkits stay away, and their tests are skipped; in CI they fail.
test: $(STAMP)
	-@$(MAKE) --no-print-directory toolkits
	$(BIN)/python -m tests.ownlevel --branches
	$(BIN)/python -m pytest -q $(TOGETHER) tests $(addprefix --ignore=,$(OWN_LEVEL))

texts: $(STAMP)
	$(BIN)/python -m tests.texts

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint
	$(BIN)/python -m pytest -q $(TOGETHER) -m "not processes" tests

bench: $(STAMP)
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m deploy.pages

instructions: $(STAMP)
	$(BIN)/python -m benchmarks.instructions --check

packages: $(STAMP)
	$(BIN)/python -m deploy.build

# The site in dist/site; its generator is in an environment of its own.
docs: $(STAMP)
	$(BIN)/python -m deploy.pages
	$(BIN)/python -m deploy.pictures
	test -d $(VENV)-docs || $(PYTHON) -m venv $(VENV)-docs
	$(VENV)-docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	$(VENV)-docs/bin/mkdocs build --strict --quiet

fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz --seconds $${SECONDS_EACH:-20}

clean:
	rm -rf $(VENV) $(VENV)-docs $(TOOLKITS) .demo .nation .scenarios .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis .screenshots build dist
