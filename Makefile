# Everything runs from a virtual environment that the first target makes: it needs Python 3.11 or newer with venv, and nothing else.
#   make demo ARGS="--seed 3"      passes options on        make test PYTHON=python3.12      makes the environment with another Python
#   make bench SUITES="cart-table hierarchy"   runs other suites: some take hours, and go on where they were stopped

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2
UV     ?= uv
ARGS   ?=
SUITES ?= gymnasium

RUN       := $(VENV)/bin/python -m
INSTALLED := $(VENV)/.installed
WITH_MJX  := $(VENV)/.installed-mjx
COMPILE   := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
             --no-emit-index-url --no-emit-find-links --extra report --extra solvers --extra dev --extra lint --extra docs

unexport PYTHONPATH  # robotics distributions put packages there that would shadow the locked ones

.PHONY: help venv demo test test-slow bench lint format docs lock
.DELETE_ON_ERROR:

help:
	@echo "make demo        a cart on a table, planned with and without its guardrail; ends in a report"
	@echo "make test        the tests (some minutes)"
	@echo "make test-slow   the long tests, MJX among them"
	@echo "make bench       Gymnasium by its own score, and the speed files; SUITES= names others"
	@echo "make lint        ruff and pyright        make format   what ruff can mend itself"
	@echo "make docs        API pages, and tables in docs/   make lock     resolve the dependencies again (needs uv)"

venv: $(INSTALLED)

demo: $(INSTALLED)
	$(VENV)/bin/ebm control CartTable-v0 $(ARGS)

test: $(INSTALLED)
	$(RUN) pytest -n $(JOBS) -m "not slow" $(ARGS)

test-slow: $(WITH_MJX)
	JAX_DISABLE_MOST_OPTIMIZATIONS=0 $(RUN) pytest -n $(JOBS) -m slow $(ARGS)

bench: $(INSTALLED)
	for suite in $(SUITES); do $(VENV)/bin/ebm bench $$suite $(ARGS) || exit; done
	$(RUN) pytest benchmarks/bench_*.py --benchmark-json=benchmarks/results/speed.json

lint: $(INSTALLED)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) pyright --pythonpath $(VENV)/bin/python

format: $(INSTALLED)
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

docs: $(INSTALLED)
	$(VENV)/bin/python docs/build.py
	$(VENV)/bin/python -m benchmarks._tables

# The second lock is resolved under the first, so that both agree on everything they share.
lock:
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra mjx --constraint requirements.lock --output-file requirements-mjx.lock pyproject.toml
	$(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  --torch-backend cpu --output-file benchmarks/peers/requirements.lock benchmarks/peers/requirements.in

# The stamps are written last: an interrupted installation is begun again.
$(INSTALLED): requirements.lock pyproject.toml
	@rm -f $@
	@$(VENV)/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "error: '$(PYTHON)' is not Python 3.11 or newer. Name one that is: make PYTHON=/path/to/python3" >&2; exit 1; }; \
	  $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "error: '$(PYTHON)' cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	  echo "Making $(VENV): some hundred megabytes, once."; \
	  $(PYTHON) -m venv --clear $(VENV); }
	$(RUN) pip install --require-hashes --requirement requirements.lock
	$(RUN) pip install --no-deps --no-build-isolation --editable .
	@touch $@

$(WITH_MJX): requirements-mjx.lock $(INSTALLED)
	@rm -f $@
	$(RUN) pip install --require-hashes --requirement requirements-mjx.lock
	@touch $@
