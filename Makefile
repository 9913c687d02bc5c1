# Thin names for what tox does, from any one Python of 3.10 to 3.13 and make alone; CONTRIBUTING.md says more.
# One Airflow, any arguments of pytest: .venv/bin/tox -e airflow2.9 -- tests/unit/triggers -k deadline
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$python && break; done)
TOX = .venv/bin/tox
# What pyenv has installed can be found, not only what it has chosen.
ifndef PYENV_VERSION
export PYENV_VERSION := $(shell (pyenv version-name; pyenv versions --bare) 2>/dev/null | awk '!seen[$$0]++' | paste -sd: -)
endif
export UV_PYTHON_DOWNLOADS = never

FULL = airflow2.7,airflow2.11,airflow3.3
ENDS = airflow2.7,airflow3.3
SHORT = airflow2.7-py3.8,airflow2.8,airflow2.9,airflow2.10,airflow3.0,airflow3.1,airflow3.2,airflow3.3-py3.13
# What was skipped for want of a Python is said once more in the last lines.
PARALLEL = matrix() { mkdir -p .tox; $(TOX) run-parallel "$$@" 2>&1 | tee .tox/matrix.log; ended=$${PIPESTATUS[0]}; \
	grep -h ': skipped because' .tox/matrix.log; return $$ended; }; matrix
SHELL = bash

.PHONY: test demo lint docs matrix next semantics browser stories benchmark push triggerer distributed upgrade screenshots wheel services pins clean

# All tests that need no running Airflow, and one short real run, on the newest Airflow; COVERAGE=1 measures what they cover.
test: $(TOX)
	@$(TOX) run -q -e test $(if $(COVERAGE),-- --cov)

# A real Airflow 3.3, the simulator and the first DAG, from nothing to its result.
demo: $(TOX)
	@$(TOX) run -q -e demo

lint: $(TOX)
	@$(TOX) run -q -e lint

# The documentation site, into docs/_build/html; a warning is an error.
docs: $(TOX)
	@$(TOX) run -q -e docs

# Every supported Airflow: 2.11 and the newest with real schedulers and triggerers in full, the oldest and some others in
# short, the rest without. In one go, since real Airflows mostly wait: tox.toml has what each runs.
matrix: $(TOX) services
	@$(PARALLEL) -p 3 -e $(FULL),$(SHORT)

# The next Airflow, in short.
next: $(TOX) services
	@$(TOX) run -e airflow3.4

# How waits end and what they survive, in every mode, on real schedulers and triggerers; SHORT_FORM=1 takes a few of
# them on the oldest and the newest.
semantics: $(TOX) services
	@$(PARALLEL) -p $(if $(SHORT_FORM),2,1) -e $(if $(SHORT_FORM),$(ENDS),$(FULL)) -- -m 'semantics$(if $(SHORT_FORM), and short)'

# What users see on Airflow's pages.
browser: $(TOX) services
	@$(PARALLEL) -p 2 -e airflow2.11,airflow3.3 -- -m browser

# A thousand stories of tasks that start runs and wait for them while everything goes wrong, for docs/faults.md.
stories: $(TOX)
	@$(TOX) run -e airflow3.3 -- -m stories

# The wheel and the sdist, into dist/.
wheel: $(TOX)
	@.venv/bin/uv build --quiet --out-dir dist .
	@ls dist

# This provider's waits beside those of others, into docs/; takes about 45 minutes.
benchmark: $(TOX)
	@$(TOX) run -e benchmark

# What webhooks do to waits, on two servers and two triggerers, into docs/; takes hours.
push: $(TOX) services
	@$(TOX) run -e push3.3,push2.11

# 1,000 to 10,000 waits on Airflow's own triggerer, which is killed, into docs/; takes hours.
triggerer: $(TOX) services
	@$(TOX) run -e triggerer3.3,triggerer2.11
	@$(TOX) run -e triggerer3.3,triggerer2.11 -- --waits 10000 --kinds datarecs --kill

# 200 waits through several triggerers and workers, of which one each is killed; takes about half an hour.
distributed: $(TOX) services
	@$(TOX) run -e distributed2.11,distributed3.3 -- -m distributed

# What becomes of deferred waits when Airflow 2.11 is upgraded to 3.3.
upgrade: $(TOX) services
	@$(TOX) run -e distributed2.11 --notest
	@$(TOX) run -e distributed3.3 -- -m upgrade

# The pictures of Airflow's pages in docs/screenshots, as the tests see them.
screenshots: $(TOX) services
	@$(TOX) run -e airflow2.11,airflow3.3 -- -m browser --screenshots=docs/screenshots

# PostgreSQL, Redis and Chromium, of Debian.
services:
	@ls /usr/lib/postgresql/*/bin/postgres /usr/bin/redis-server /usr/bin/chromium >/dev/null 2>&1 || \
		{ apt-get update -qq && apt-get install -y -qq postgresql redis-server chromium fonts-dejavu-core; }

# Resolve the pinned environments anew, each as of its date; NAMES="docs lint" takes some of them.
pins: $(TOX)
	@PATH=$(CURDIR)/.venv/bin:$$PATH dev/lock $(NAMES)

clean:
	rm -rf .venv .tox .demo dist docs/_build

$(TOX): dev/pins/tox.txt
	@test -n "$(PYTHON)" || { echo "No Python from 3.10 to 3.13 is here; name one: make test PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -m venv --clear .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r dev/pins/tox.txt
	@touch $(TOX)
