"""Whether the connection works as the page on it writes it down."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from support import DOCS

from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.provider_info import CONN_FIELDS

PAGE = (DOCS / "connection.md").read_text()
READ = """
from airflow.providers.datarecs.hooks.datarecs import DataRecsHook
settings = DataRecsHook().get_settings()
print([settings.base_url, settings.api_key, settings.tenant])
"""


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE).group(1)


def test_as_an_environment_variable(monkeypatch):
    name, value = re.search(r"^export (\w+)='(.*?)'$", PAGE, re.DOTALL | re.MULTILINE).groups()
    monkeypatch.setenv(name, value)
    settings = DataRecsHook().get_settings()
    assert [settings.base_url, settings.api_key, settings.tenant] == [
        "https://api.datarecs.io",
        "...",
        "acme",
    ]


def test_from_a_secrets_backend(tmp_path):
    connections = tmp_path / "connections.json"
    connections.write_text(block("json"))
    options = dict(line.split(" = ", 1) for line in block("ini").splitlines() if " = " in line)
    options["backend_kwargs"] = re.sub(r'"/[^"]+"', f'"{connections}"', options["backend_kwargs"])
    environ = {f"AIRFLOW__SECRETS__{name.upper()}": value for name, value in options.items()}
    done = subprocess.run(
        [sys.executable, "-c", READ],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path), **environ},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['https://api.datarecs.io', '...', 'acme']"


@pytest.mark.parametrize("name", CONN_FIELDS)
def test_every_extra_is_described(name):
    assert re.search(rf"^\| `{name}` \| .+ \| .+ \|$", PAGE, re.MULTILINE)
