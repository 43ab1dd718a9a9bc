# make quickstart   set up, train six small trials on Ray, print the leaderboard: 5 minutes on two cores of an AMD EPYC
# make test         set up, then ruff, mypy and the test suite
# make test-all     the same with the slow tests: learning checks and fault campaigns
# make docs         build the documentation into site/, strictly: a dead link or a missing docstring fails
# make installed    build the wheel and the source archive, install the wheel elsewhere, try it there
#
# PYTHON=python3.12 chooses the interpreter; PIP_ARGS="..." passes options to pip.

PYTHON ?= python3
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup quickstart test test-all docs installed lint clean
.DEFAULT_GOAL := help

help:
	@sed -n '1,8s/^# \{0,1\}//p' Makefile

setup: $(VENV)/.installed

# The package, or with what tests and documentation need: quickstart does without.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11; name a newer one with PYTHON=..."; exit 2; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) \
		|| { echo "no virtual environment could be made; on Debian: apt install python3-venv"; rm -rf $(VENV); exit 2; }
	$(BIN)/pip install --disable-pip-version-check --constraint constraints.txt $(PIP_ARGS) --editable '$(1)'
	@touch $@
endef

$(VENV)/.installed: pyproject.toml constraints.txt
	$(call install,.[dev])
	@touch $(VENV)/.runs

$(VENV)/.runs: pyproject.toml constraints.txt
	$(call install,.)

quickstart: $(VENV)/.runs
	$(BIN)/disentangle-bench run quickstart

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A worker of pytest a core, with one thread each: two threads on a core that is taken wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --dist loadgroup

test: lint
	$(PYTEST)

test-all: lint
	@echo "all tests: allow two hours on two cores. Beside those of make test: learning checks, whole benchmark scripts,"
	@echo "long documentation pages, and campaigns: damaged files, mutated inputs, kills, full disks, signals."
	$(PYTEST) -m ''

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

installed: setup
	$(BIN)/python tests/installed.py

clean:
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
