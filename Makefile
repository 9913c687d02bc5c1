# Each command makes what it needs, from Python 3.11 and make alone.
PYTHON ?= $(shell command -v python3.11 || echo python3)
UV = .venv/bin/uv

.PHONY: demo test matrix semantics lint docs benchmark stories distributed upgrade screenshots services pins clean

# A real Airflow 3.3, the simulator and the first DAG, from nothing to its result.
demo: $(UV)
	@$(PYTHON) dev/environments.py make 3.3
	@.envs/3.3/bin/python dev/demo.py

# Every test, from the built wheel, on the oldest Airflow, the last 2.x and the newest, and fewer on the rest.
test: $(UV)
	@$(PYTHON) dev/matrix.py --quick

# Every test on every Airflow, or on the one of AIRFLOW=2.9.
matrix: $(UV)
	@$(PYTHON) dev/matrix.py $(if $(AIRFLOW),--airflow $(AIRFLOW))

# How waits end and what they survive, in every mode, on real schedulers and triggerers; takes about half an hour.
semantics: $(UV) services
	@$(PYTHON) dev/matrix.py --semantics $(if $(AIRFLOW),--airflow $(AIRFLOW))

lint: $(UV)
	@$(PYTHON) dev/environments.py make 3.3
	@.envs/3.3/bin/ruff check
	@.envs/3.3/bin/ruff format --check
	@.envs/3.3/bin/mypy

# The documentation site, into docs/_build/html; a warning is an error.
docs: $(UV)
	@$(PYTHON) dev/environments.py make docs
	@.envs/docs/bin/sphinx-build --quiet --fresh-env --write-all --fail-on-warning --keep-going docs docs/_build/html
	@echo "--- docs/_build/html/index.html"

# This provider's waits beside those of others, into docs/; takes about 45 minutes.
benchmark: $(UV)
	@$(PYTHON) dev/environments.py make benchmark
	@.envs/benchmark/bin/python benchmarks/run.py

# A thousand stories of tasks that start runs and wait for them while everything goes wrong, for docs/faults.md.
stories: $(UV)
	@$(PYTHON) dev/environments.py make 3.3
	@.envs/3.3/bin/python dev/stories.py

# 200 waits through several triggerers and workers, of which one each is killed; takes about half an hour.
distributed: $(UV) services
	@$(PYTHON) dev/environments.py make distributed-2.11 distributed-3.3
	@.envs/distributed-2.11/bin/python dev/distributed.py
	@.envs/distributed-3.3/bin/python dev/distributed.py

# What becomes of deferred waits when Airflow 2.11 is upgraded to 3.3.
upgrade: $(UV) services
	@$(PYTHON) dev/environments.py make distributed-2.11 distributed-3.3
	@.envs/distributed-3.3/bin/python dev/upgrade.py

# The pictures of Airflow's pages in docs/screenshots, as the tests see them.
screenshots: $(UV) services
	@$(PYTHON) dev/environments.py make 2.11 3.3
	@.envs/2.11/bin/pytest --browser --screenshots=docs/screenshots
	@.envs/3.3/bin/pytest --browser --screenshots=docs/screenshots

# PostgreSQL, Redis and Chromium, of Debian.
services:
	@ls /usr/lib/postgresql/*/bin/postgres /usr/bin/redis-server /usr/bin/chromium >/dev/null 2>&1 || \
		{ apt-get update -qq && apt-get install -y -qq postgresql redis-server chromium fonts-dejavu-core; }

# Resolve the pinned environments anew, each as of its date.
pins: $(UV)
	@$(PYTHON) dev/environments.py lock

clean:
	rm -rf .venv .envs .demo .distributed .upgrade dist docs/_build

$(UV):
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r dev/pins/uv.txt
