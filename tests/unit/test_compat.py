"""The names that moved between Airflow versions are those that users catch and subclass."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import warnings
from pathlib import Path

import airflow
import airflow.exceptions
import pytest

from airflow_provider_datarecs import compat

pytestmark = pytest.mark.compat

EXCEPTIONS = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "TaskDeferralError",
]


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_an_exception_is_the_one_that_users_import(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 3.2 and later warn of some of these imports
        assert getattr(compat, name) is getattr(airflow.exceptions, name)


def test_the_base_classes_are_those_of_other_providers_dags():
    if compat.AIRFLOW_VERSION >= (3, 0):
        from airflow.sdk import BaseOperator, BaseSensorOperator
    else:
        from airflow.models.baseoperator import BaseOperator
        from airflow.sensors.base import BaseSensorOperator
    assert compat.BaseOperator is BaseOperator
    assert compat.BaseSensorOperator is BaseSensorOperator


def test_the_version_is_that_of_this_airflow():
    assert airflow.__version__.startswith("{}.{}.".format(*compat.AIRFLOW_VERSION))


def test_all_that_is_offered_exists():
    assert [name for name in compat.__all__ if not hasattr(compat, name)] == []


def test_a_trigger_that_failed_is_no_timeout():
    assert not compat.is_deferral_timeout(compat.TaskDeferralError("Trigger failure"))
    assert not compat.is_deferral_timeout(compat.AirflowException("timeout"))


def test_a_branch_for_a_version_dies_with_its_support():
    requires = " ".join(importlib.metadata.requires("apache-airflow-provider-datarecs"))
    floor = tuple(map(int, re.search(r"apache-airflow>=([\d.]+)", requires).group(1).split(".")))
    branches = [
        ast.literal_eval(node.comparators[0])
        for path in Path(compat.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare)
        and getattr(getattr(node.left, "func", node.left), "id", "") in ("AIRFLOW_VERSION", "airflow_version")
    ]
    assert branches
    # A failure here says: no supported Airflow takes the other side of that branch any more; delete it.
    assert [branch for branch in branches if branch <= floor] == []
