"""Whether the page on many waits names the metrics that there are."""

from __future__ import annotations

import inspect
import re

from support import DOCS

from airflow_provider_datarecs.polling import metrics
from airflow_provider_datarecs.webhooks import report

PAGE = (DOCS / "limits.md").read_text()


def test_the_metrics_are_those_that_are_sent():
    sources = [inspect.getsource(module) for module in (metrics, report)]
    by_module = [set(re.findall(r'"(datarecs\.\w+)"', source)) for source in sources]
    assert all(by_module)
    sent = set.union(*by_module)
    assert set(re.findall(r"^\| `(datarecs\.\w+)`", PAGE, re.MULTILINE)) == sent
