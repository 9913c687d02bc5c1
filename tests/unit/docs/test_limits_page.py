"""Whether the page on many waits names the metrics that there are."""

from __future__ import annotations

import inspect
import re

from support import DOCS

from airflow_provider_datarecs.polling import metrics

PAGE = (DOCS / "limits.md").read_text()


def test_the_metrics_are_those_that_are_sent():
    sent = set(re.findall(r'"(datarecs\.\w+)"', inspect.getsource(metrics)))
    assert sent
    assert set(re.findall(r"^\| `(datarecs\.\w+)`", PAGE, re.MULTILINE)) == sent
