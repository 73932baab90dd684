# Copyright (c) 2026, the matrix_ops.synapse authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

PYTHON ?= python3
TARGETS ?=
BENCH ?=

export LC_ALL := C.UTF-8
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help demo demo-clean quick test check units integration contract hosts browser readme bench format clean python

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: python ## start a real Synapse below .demo/ and do the main job on it (no root needed)
	@$(PYTHON) tests/environment/demo.py present

demo-clean: python ## stop the demo's Synapse and remove .demo/
	@$(PYTHON) tests/environment/demo.py absent

quick: python ## what to run after each edit: format, linters, types, unit tests on one Python
	@$(PYTHON) tests/environment/run.py quick

test: python ## run every test there is
	@$(PYTHON) tests/environment/run.py

check: python ## linters, sanity tests, documentation, zipped modules, the built artifact
	@$(PYTHON) tests/environment/run.py check

units: python ## unit tests on the oldest Python, and on the newest one as ansible-test runs them
	@$(PYTHON) tests/environment/run.py units

integration: python ## modules and roles as Ansible runs them; TARGETS="module_synapse_room_alias" chooses
	@$(PYTHON) tests/environment/run.py integration $(TARGETS:%=--target %)

contract: python ## what every module does to real servers; TARGETS="synapse_room" chooses by name
	@$(PYTHON) tests/environment/run.py contract $(TARGETS:%=--target %)

hosts: python ## roles on hosts booted with systemd; TARGETS="site_sqlite" chooses
	@$(PYTHON) tests/environment/run.py hosts $(TARGETS:%=--target %)

browser: python ## the pages that people read, in a real browser
	@$(PYTHON) tests/environment/run.py browser

readme: python ## the first example of the README, as somebody new follows it
	@$(PYTHON) tests/environment/run.py readme

bench: python ## measure against the alternatives on real servers; BENCH="bulk" chooses a group
	@PYTHONPATH=tests/environment $(PYTHON) tests/benchmarks/run.py $(BENCH)

format: python ## bring the Python files into the project's format
	@linters=$$($(PYTHON) tests/environment/virtual_environments.py linters) && \
		"$$linters/bin/ruff" check --fix . && "$$linters/bin/ruff" format .

clean: ## remove what tests leave behind in this directory
	@rm -rf .ansible .mypy_cache .nox .pytest_cache .ruff_cache tests/output

python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed. Name it: make PYTHON=python3.12 ..." \
		if sys.version_info < (3, 11) else 0)'
