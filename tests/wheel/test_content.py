"""What the wheel holds, and what it must not hold."""

from __future__ import annotations

import pytest
from support import ROOT

pytestmark = pytest.mark.wheel


def test_the_wheel_holds_every_module_of_the_source_tree(content):
    packed = {name for name in content.namelist() if name.endswith(".py")}
    sources = {
        path.relative_to(top).as_posix()
        for top, folder in ((ROOT, "airflow_provider_datarecs"), (ROOT / "namespace", "airflow"))
        for path in (top / folder).rglob("*.py")
    }
    assert packed == sources


def test_the_wheel_has_no_file_that_belongs_to_airflow(content):
    names = content.namelist()
    for folder in ("airflow", "airflow/providers", "airflow/provider"):
        assert f"{folder}/__init__.py" not in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {
        "airflow",
        "airflow_provider_datarecs",
        "apache_airflow_provider_datarecs-0.1.0.dist-info",
    }


def test_the_wheel_has_types_license_and_scenario(content):
    names = content.namelist()
    assert "airflow_provider_datarecs/py.typed" in names
    assert "airflow_provider_datarecs/simulator/default.json" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
