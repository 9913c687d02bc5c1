"""What the import of a module loads, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = """
import importlib, json, sys
import airflow.plugins_manager
before = set(sys.modules)
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded_by(module: str) -> set[str]:
    """Give the modules that come with one, in a process that has loaded what Airflow's plugins need."""
    done = subprocess.run([sys.executable, "-c", CODE, module], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))
