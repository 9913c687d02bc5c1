"""The two namespaces work from the source tree as from the wheel, and hold little but re-exports."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import airflow
import pytest
from support import DOCUMENTED_DAG, ROOT
from support.airflow import IS_AIRFLOW_3

pytestmark = pytest.mark.compat

NAMESPACE = ROOT / "namespace"
ALL = sorted(NAMESPACE.rglob("*.py"))
THIN = [path for path in ALL if path.parent.name != "links"]  # what is in links is defined there
DAILY = ROOT / "examples" / "reconcile_daily_balances.py"


def module_name(path):
    return ".".join(path.relative_to(NAMESPACE).with_suffix("").parts)


@pytest.mark.parametrize("path", THIN, ids=module_name)
def test_a_thin_module_only_passes_on_what_the_implementation_has(path):
    for node in ast.parse(path.read_text()).body:
        is_docstring = isinstance(node, ast.Expr)
        is_import = isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in (
            "__future__",
            "airflow_provider_datarecs",
        )
        is_all = isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
        assert is_docstring or is_import or is_all


def test_no_folder_of_airflow_is_a_package_of_ours():
    assert not (ROOT / "airflow").exists()
    inits = {path.relative_to(NAMESPACE).parent.as_posix() for path in NAMESPACE.rglob("__init__.py")}
    assert inits
    assert inits.isdisjoint({".", "airflow", "airflow/provider", "airflow/providers"})


def link_all(source, target, but):
    """Fill a folder with links to all of another, but for some names."""
    target.mkdir(parents=True)
    for entry in source.iterdir():
        if entry.name not in but:
            (target / entry.name).symlink_to(entry)


@pytest.fixture
def editable(tmp_path):
    """Make a site-packages with Airflow, and with this provider as ``pip install -e`` installs it."""
    installed, site = Path(airflow.__file__).parent, tmp_path / "site"
    link_all(installed.parent, site, ["airflow", "airflow_provider_datarecs"])
    link_all(installed, site / "airflow", ["provider", "providers"])
    link_all(installed / "providers", site / "airflow" / "providers", ["datarecs"])
    folders = json.loads(re.search(r"dev-mode-dirs = (.*)", (ROOT / "pyproject.toml").read_text()).group(1))
    (site / "datarecs.pth").write_text("\n".join(str((ROOT / folder).resolve()) for folder in folders))
    return site


def test_an_editable_install_has_every_thin_module_and_the_connection_type(editable):
    names = [module_name(path) for path in ALL if path.name != "__init__.py"]
    code = f"""
import importlib, json, site, sys
site.addsitedir({str(editable)!r})
from airflow.providers_manager import ProvidersManager
hook = ProvidersManager().hooks["datarecs"]
files = [importlib.import_module(name).__file__ for name in {names!r}]
print(json.dumps([hook.hook_class_name, files]))
"""
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    hook, files = json.loads(done.stdout.splitlines()[-1])
    assert hook == "airflow.provider.datarecs.hooks.datarecs.DataRecsHook"
    assert files == [str(path) for path in ALL if path.name != "__init__.py"]
    assert "oherence" not in done.stdout + done.stderr


def test_parsing_a_dag_reads_no_connection(tmp_path):
    (tmp_path / "recording.py").write_text(
        "from airflow.secrets import BaseSecretsBackend\n"
        "asked = []\n"
        "class Backend(BaseSecretsBackend):\n"
        "    def get_conn_value(self, conn_id, **more):\n"
        "        asked.append(conn_id)\n"
    )
    code = f"""
import airflow
import recording
from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
exec(compile(open({str(DAILY)!r}).read(), "dag", "exec"))
after_parsing = list(recording.asked)
try:
    DataRecsHook("asked-for").get_settings()
except Exception:
    pass
print(after_parsing, recording.asked)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
            "AIRFLOW__SECRETS__BACKEND": "recording.Backend",
            "AIRFLOW__WORKERS__SECRETS_BACKEND": "recording.Backend",
        },
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[] ['asked-for']"


if IS_AIRFLOW_3:

    def test_the_text_of_the_documentation_is_parsed_without_a_start_date(parse_dags):
        bag = parse_dags(DOCUMENTED_DAG)
        assert bag.import_errors == {}
        assert bag.dags["reconcile_daily_balances"].task_ids == ["trigger", "wait", "result"]
