"""The plugin, which every Airflow process loads, and the commands."""

from __future__ import annotations

import subprocess
import sys

import pytest
from airflow.plugins_manager import AirflowPlugin
from support.loading import loaded_by

from airflow_provider_datarecs import compat
from airflow_provider_datarecs.webhooks import __main__ as command
from airflow_provider_datarecs.webhooks import cli, receiver
from airflow_provider_datarecs.webhooks.plugin import DataRecsWebhooksPlugin

pytestmark = pytest.mark.compat

KIND, OTHER = "fastapi_apps", "flask_blueprints"
if not compat.SERVER_IS_ASGI:
    KIND, OTHER = OTHER, KIND


@pytest.fixture
def switch(monkeypatch):
    return lambda option: monkeypatch.setenv("AIRFLOW__DATARECS__WEBHOOKS", option)


def test_airflow_finds_it():
    code = """
from airflow import plugins_manager
if hasattr(plugins_manager, "_get_plugins"):
    plugins, errors = plugins_manager._get_plugins()
else:
    plugins_manager.ensure_plugins_loaded()
    plugins, errors = plugins_manager.plugins, plugins_manager.import_errors
print(sorted(one.name for one in plugins if "datarecs" in one.name), dict(errors))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['datarecs_reconciliations', 'datarecs_webhooks'] {}"


def test_loading_it_loads_nothing_of_the_receiver():
    assert loaded_by("airflow_provider_datarecs.webhooks.plugin") <= {
        "airflow_provider_datarecs",
        "airflow_provider_datarecs.webhooks",
        "airflow_provider_datarecs.webhooks.plugin",
    }


@pytest.mark.parametrize("option", ["False", "", "no"])
def test_it_does_nothing_where_it_is_off(switch, option):
    switch(option)
    plugin = DataRecsWebhooksPlugin()
    assert (plugin.fastapi_apps, plugin.flask_blueprints) == ([], [])


def test_it_is_off_by_default(monkeypatch):
    monkeypatch.delenv("AIRFLOW__DATARECS__WEBHOOKS", raising=False)
    assert getattr(DataRecsWebhooksPlugin(), KIND) == []


@pytest.mark.parametrize("option", ["True", "datarecs_default, other"])
def test_it_gives_a_server_what_that_version_takes(switch, option):
    switch(option)
    plugin = DataRecsWebhooksPlugin()
    assert len(getattr(plugin, KIND)) == 1
    assert getattr(plugin, OTHER) == []
    assert getattr(AirflowPlugin, KIND) == []  # and nothing in anybody else's


def test_a_mistake_in_it_stops_no_server(switch, monkeypatch, caplog):
    switch("True")

    def fail(*arguments):
        raise RuntimeError("a mistake")

    monkeypatch.setattr(receiver, "Receiver", fail)
    assert getattr(DataRecsWebhooksPlugin(), KIND) == []
    assert "This server receives no events of DataRecs" in caplog.text
    assert "a mistake" in caplog.text


def test_the_command_does_not_start_where_it_is_off(switch, monkeypatch):
    switch("False")
    monkeypatch.setattr(sys, "argv", ["webhooks"])
    with pytest.raises(SystemExit, match=r"set \[datarecs\] webhooks to True"):
        command.main()


def test_the_command_of_airflow_is_that_of_the_module():
    (group,) = cli.get_commands()
    (receive,) = group.subcommands
    assert (group.name, receive.name, receive.func) == ("datarecs", "receive-events", command.receive_events)
    assert {one.flags[0]: one.kwargs["default"] for one in receive.args} == {
        "--host": command.HOST,
        "--port": command.PORT,
    }
