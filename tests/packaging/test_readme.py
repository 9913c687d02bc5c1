from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_first_dag_of_the_readme_is_the_example_that_runs():
    ((path, code),) = re.findall(
        r"<!-- (\S+) -->\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert code == (ROOT / path).read_text()
