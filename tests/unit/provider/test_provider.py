"""What Airflow makes of this provider, and what its wheel holds."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import airflow
import jsonschema
import pytest
from airflow.providers_manager import ProvidersManager
from support import ROOT
from support.airflow import IS_AIRFLOW_3

from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
from airflow_provider_datarecs.provider_info import get_provider_info

pytestmark = pytest.mark.compat

STARTED_BY_EVENTS = "publish_each_run_that_agrees"
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
DOCUMENTED = "reconcile_daily_balances"  # with the imports that the documentation gives, which warn on 3.x


def test_the_providers_manager_finds_the_hook_without_a_warning(caplog):
    with caplog.at_level(logging.INFO):
        manager = ProvidersManager()
        manager.initialize_providers_hooks()
        hook = manager.hooks["datarecs"]
    assert hook is not None
    assert (hook.connection_type, hook.hook_name) == ("datarecs", "DataRecs")
    assert hook.connection_id_attribute_name == "conn_id"
    about = [record for record in caplog.records if "datarecs" in record.getMessage().lower()]
    assert [record.getMessage() for record in about if record.levelno >= logging.WARNING] == []


FRESH = """
import sys
from airflow.__main__ import main
from airflow.providers_manager import ProvidersManager
print(sorted(ProvidersManager().hooks))
sys.argv[1:] = ["config", "get-value", "datarecs", "heartbeat_interval"]
main()
"""


@pytest.fixture(scope="module")
def fresh():
    """Give what a fresh Airflow prints of its connection types and of an option of a deployment."""
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def test_airflow_says_nothing_of_a_failed_coherence_check(fresh):
    assert "'datarecs'" in fresh.stdout
    assert "oherence" not in fresh.stdout + fresh.stderr


def test_airflow_makes_this_providers_hook_of_its_connection(simulator):
    from airflow.provider.datarecs.hooks.datarecs import DataRecsHook as Registered

    assert Registered is DataRecsHook
    if IS_AIRFLOW_3:
        from airflow.sdk import Connection
    else:
        from airflow.models.connection import Connection
    hook = Connection(conn_id="datarecs_default", conn_type="datarecs").get_hook()
    assert type(hook) is DataRecsHook
    assert hook.list_workspaces()


def test_provider_info_fits_the_schema_of_this_airflow():
    schema = Path(airflow.__file__).parent / "provider_info.schema.json"
    jsonschema.validate(get_provider_info(), json.loads(schema.read_text()))
    assert get_provider_info()["package-name"] == "apache-airflow-provider-datarecs"


def test_airflow_knows_the_settings_of_a_deployment(fresh):
    assert fresh.stdout.splitlines()[-1] == "900.0", fresh.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_parsed_without_an_error_or_warning(example, parse_dags, recwarn):
    bag = parse_dags(example)
    assert bag.import_errors == {}
    # One has nothing to show on Airflow 2, which starts no DAG by an event.
    assert list(bag.dags) == ([example.stem] if IS_AIRFLOW_3 or example.stem != STARTED_BY_EVENTS else [])
    warned = [str(one.message) for one in recwarn if one.filename == str(example)]
    assert warned == [] or example.stem == DOCUMENTED
