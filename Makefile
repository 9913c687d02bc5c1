# Each command makes what it needs, from Python 3.11 and make alone.
PYTHON ?= $(shell command -v python3.11 || echo python3)
UV = .venv/bin/uv

.PHONY: demo test lint benchmark pins clean

# A real Airflow 3.3, the simulator and the first DAG, from nothing to its result.
demo: $(UV)
	@$(PYTHON) dev/environments.py make 3.3
	@.envs/3.3/bin/python dev/demo.py

# Every test, from the built wheel, on the oldest and on the newest supported Airflow.
test: $(UV)
	@$(PYTHON) dev/environments.py make 2.7 3.3
	@.envs/2.7/bin/pytest
	@.envs/3.3/bin/pytest

lint: $(UV)
	@$(PYTHON) dev/environments.py make 3.3
	@.envs/3.3/bin/ruff check
	@.envs/3.3/bin/ruff format --check
	@.envs/3.3/bin/mypy

# This provider's waits beside those of others, into docs/; takes about 45 minutes.
benchmark: $(UV)
	@$(PYTHON) dev/environments.py make benchmark
	@.envs/benchmark/bin/python benchmarks/run.py

# Resolve the pinned environments anew, each as of its date.
pins: $(UV)
	@$(PYTHON) dev/environments.py lock

clean:
	rm -rf .venv .envs .demo dist

$(UV):
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r dev/pins/uv.txt
