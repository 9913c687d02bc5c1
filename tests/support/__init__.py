"""What the tests share; it stands on the path as ``support``, since it is no part of what is tested."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
# The first DAG as DataRecs's own documentation has it, which no part of this project may change.
DOCUMENTED_DAG = Path(__file__).with_name("documented_dag.py")
