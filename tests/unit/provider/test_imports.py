"""What importing this provider gives, and what it costs."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import EXAMPLES, ROOT
from support.components import COMPONENTS, IMPORTED

import airflow_provider_datarecs

pytestmark = pytest.mark.compat

MODULES = sorted({one.documented for one in IMPORTED})
HEAVY = ("aiohttp", "tenacity", "yarl", "asgiref", "attr", "openlineage")
PACKAGE = Path(airflow_provider_datarecs.__file__).parent

BASE = """
from airflow.models.dag import DAG
from airflow_provider_datarecs.compat import AIRFLOW_VERSION
if AIRFLOW_VERSION >= (3, 0):
    from airflow.sdk import BaseOperator, BaseSensorOperator, PokeReturnValue
else:
    from airflow.models.baseoperator import BaseOperator
    from airflow.sensors.base import BaseSensorOperator, PokeReturnValue
"""


def python(code, *options):
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("one", IMPORTED, ids=lambda one: one.short)
def test_a_documented_import_gives_the_implementation_itself(one):
    documented = importlib.import_module(one.documented)
    assert getattr(documented, one.name) is getattr(importlib.import_module(one.implementation), one.name)
    assert one.name in documented.__all__


def test_operators_and_sensors_add_no_client_to_what_a_dag_file_imports():
    imports = "\n".join(
        f"import {module}" for module in MODULES if not {"hooks", "triggers"} & set(module.split("."))
    )
    code = f"import sys, json\n{BASE}\nbefore = set(sys.modules)\n{imports}\n"
    added = json.loads(python(code + "print(json.dumps(sorted(set(sys.modules) - before)))"))
    assert any("datarecs" in module for module in added)
    assert [one for one in added if one.split(".")[0] in HEAVY] == []


def test_a_trigger_for_an_asset_adds_no_client_either():
    base = "import sys, json, asgiref.sync, airflow.triggers.base\nbefore = set(sys.modules)"
    imports = "\n".join(f"import {module}" for module in MODULES if ".triggers." in module)
    added = json.loads(python(f"{base}\n{imports}\nprint(json.dumps(sorted(set(sys.modules) - before)))"))
    assert "airflow_provider_datarecs.triggers.run_ended" in added
    assert [one for one in added if one.split(".")[0] in HEAVY] == []


def test_what_every_process_reads_of_this_provider_adds_nothing_but_itself():
    code = """
import sys, json, airflow
before = set(sys.modules)
from airflow_provider_datarecs.provider_info import get_provider_info
get_provider_info()
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    added = json.loads(python(code))
    assert [one for one in added if not one.startswith(("airflow_provider_datarecs", "__future__"))] == []
    assert "airflow_provider_datarecs.compat.names" not in added


def test_parsing_a_dag_touches_nothing_outside_the_process():
    example = EXAMPLES / "reconcile_daily_balances.py"
    code = f"""
import sys
{BASE}
import airflow.models.param
touched = []
watched = ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "sqlite3.connect")
sys.addaudithook(lambda event, arguments: touched.append(event) if event in watched else None)
exec(compile(open({str(example)!r}).read(), "dag", "exec"))
print(touched)
"""
    assert python(code) == "[]"


def test_importing_warns_of_nothing_in_this_provider():
    modules = sorted({one.documented for one in COMPONENTS})
    modules += ["airflow_provider_datarecs.polling.poller", "airflow.provider.datarecs.hooks.datarecs"]
    code = f"""
import importlib, warnings
import airflow
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for module in {modules!r}:
        importlib.import_module(module)
    exec(compile("import warnings; warnings.warn('seen')", "a_datarecs_module.py", "exec"))
print([str(one.message) for one in caught if "datarecs" in one.filename])
"""
    assert python(code) == "['seen']"


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


@pytest.mark.parametrize("folder", ["api", "simulator"])
def test_the_client_and_the_simulator_know_no_airflow(folder):
    files = list((PACKAGE / folder).glob("*.py"))
    assert files
    known = {name for path in files for name in imports_of(path) if name.split(".")[0] == "airflow"}
    assert known == set()


def test_one_package_knows_airflow_versions():
    files = [path for path in PACKAGE.rglob("*.py") if "AIRFLOW_VERSION" in path.read_text()]
    assert {path.parent.name for path in files} == {"compat"}


def is_for_types(node):
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def imported_by(module):
    """Give what the code that a module runs when it is imported imports, as ``a.b`` and ``a.b.name``."""
    todo = [ast.parse(MODULE_FILES[module].read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif is_for_types(node):
            todo += node.orelse
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            todo += ast.iter_child_nodes(node)


def module_of(path, root):
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULE_FILES = {
    module_of(path, root): path
    for root, files in ((PACKAGE.parent, PACKAGE), (ROOT / "namespace", ROOT / "namespace"))
    for path in files.rglob("*.py")
}


def test_no_module_imports_itself_by_way_of_others():
    imports = {
        module: {one for one in imported_by(module) if one in MODULE_FILES and one != module}
        for module in MODULE_FILES
    }
    assert "airflow_provider_datarecs.exceptions" in imports["airflow_provider_datarecs.operators.base"]
    # Whatever imports nothing that is left is in no circle.
    while free := {module for module in imports if not imports[module] & imports.keys()}:
        imports = {module: imports[module] for module in imports.keys() - free}
    assert imports == {}
