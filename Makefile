# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The first Python that is new enough. It only starts the rest: each part makes its own environment in .cache/.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)
JOB ?=
STAGES ?=
FILES ?=
MUTANTS ?=
SINCE ?=
RUNS ?=
TESTS ?=

.PHONY: help demo test mutants loaded lint format lua reference bench clean

help:
	@echo "make demo    run the example job in a virtual lab (JOB=path: another job)"
	@echo "make test    all checks and tests (STAGES=\"units real\": only these)"
	@echo "make mutants  plant faults, and tell which of them no test notices (FILES=_links.py SINCE=main MUTANTS=40)"
	@echo "make loaded  the tests that depend on time, over and over on a machine under load (RUNS=20 TESTS=tests/real/node)"
	@echo "make lint    only the checks of formatting, types, documentation and licences"
	@echo "make format  put the code into the form that the checks want"
	@echo "make lua     write the Python module that ships the commands in lua/"
	@echo "make reference  write docs/reference/ from the documentation in the code"
	@echo "make bench   the benchmarks; writes benchmarks/results.json"
	@echo "make clean   remove the environments and everything else that was made here"

demo: .python
	@PYTHON=$(PYTHON) JOB="$(JOB)" tools/demo.sh

test: .python
	@STAGES="$(STAGES)" $(PYTHON) -u tests/run_all.py

mutants: .python
	@bin=$$($(PYTHON) tools/environments.py mutants) && \
	FILES="$(FILES)" MUTANTS="$(MUTANTS)" SINCE="$(SINCE)" PYTHONPATH=tools "$$bin/python" -u -m mutants

loaded: .python
	@RUNS="$(RUNS)" TESTS="$(TESTS)" $(PYTHON) -u tools/loaded.py

lint: .python
	@STAGES=lint $(PYTHON) -u tests/run_all.py

format: .python
	@bin=$$($(PYTHON) tools/environments.py checkers) || exit 1; \
	"$$bin/ruff" check --quiet --fix --unsafe-fixes --select=UP006,UP007,UP035,UP045 . ; \
	"$$bin/ruff" check --quiet --fix . ; "$$bin/ruff" format .

lua: .python
	@$(PYTHON) tools/lua.py

reference: .python
	@bin=$$($(PYTHON) tools/environments.py checkers) && "$$bin/python" tools/reference.py

bench: .python
	@bin=$$($(PYTHON) tools/environments.py controller) && PYTHONDONTWRITEBYTECODE= PATH="$$bin:$$PATH" "$$bin/python" benchmarks/run.py

clean:
	rm -rf .ansible .cache .hypothesis .virtual-lab results playbooks/results tests/output

.PHONY: .python
.python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed, and was not found." >&2; exit 1; }
