"""The pytest plugin, in sessions as users have them: with no conftest, and with this provider installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.compat


@pytest.fixture
def session(tmp_path):
    """Run pytest on a file of tests, and give what it printed; it must end with a return code."""

    def session(text, *options, code=0, **environ):
        (tmp_path / "test_it.py").write_text(text)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--strict-markers",
            "-p",
            "no:cacheprovider",
            *options,
        ]
        environ = {**os.environ, "PYTHONWARNINGS": "", **environ}
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    return session


ASKED = """
import json, os, urllib.request
import pytest

def ask(conn_id="DATARECS_DEFAULT"):
    connection = json.loads(os.environ["AIRFLOW_CONN_" + conn_id])
    headers = {"Authorization": "Bearer " + connection["password"]}
    request = urllib.request.Request(connection["host"] + "/workspaces", headers=headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as response:
        return [one["name"] for one in json.load(response)["items"]]
"""


def test_the_fixture_and_its_marker(session, tmp_path):
    scenario = {"workspaces": [{"id": "w1", "name": "From the file"}], "faults": [{"path": "/jobs"}]}
    (tmp_path / "scenario.json").write_text(json.dumps(scenario))
    session(
        ASKED
        + """
def test_one(datarecs_simulator):
    assert ask() == ["Production", "Staging"]
    assert [seen.path for seen in datarecs_simulator.requests] == ["/workspaces"]

def test_two_is_a_new_one(datarecs_simulator):
    assert datarecs_simulator.requests == []

def test_nothing_is_left():
    assert os.environ["AIRFLOW_CONN_DATARECS_DEFAULT"] == "the user's own"

@pytest.mark.datarecs(scenario="scenario.json")
def test_a_file(datarecs_simulator):
    assert ask() == ["From the file"]
    assert [fault.path for fault in datarecs_simulator.faults] == ["/jobs"]

@pytest.mark.datarecs(scenario={"api_keys": [{"key": "k"}], "workspaces": [{"id": "w", "name": "Here"}]})
def test_the_scenario_itself(datarecs_simulator):
    assert ask() == ["Here"]

@pytest.mark.datarecs(conn_id="ledger")
class TestAnotherConnection:
    def test_it(self, datarecs_simulator):
        assert ask("LEDGER") == ["Production", "Staging"]
        assert os.environ["AIRFLOW_CONN_DATARECS_DEFAULT"] == "the user's own"
""",
        AIRFLOW_CONN_DATARECS_DEFAULT="the user's own",
    )


# What a marker says, and what its test is told.
WRONG = {"conn='ledger'": "'conn'", "scenario='none.json'": "none.json", "scenario={'jobs': []}": "'jobs'"}


def test_a_marker_that_says_something_else_fails_its_test(session):
    tests = (
        f"@pytest.mark.datarecs({given})\ndef test_{number}(datarecs_simulator): pass\n"
        for number, given in enumerate(WRONG)
    )
    told = session("import pytest\n" + "".join(tests), code=1)
    for number, words in enumerate(WRONG.values()):
        assert f"ERROR at setup of test_{number}" in told
        assert words in told.partition(f"ERROR at setup of test_{number} ")[2].partition("ERROR at setup")[0]


LOADED = """
import json, pathlib, sys

def test_it():
    pathlib.Path("loaded.json").write_text(json.dumps(sorted(sys.modules)))
"""


def test_a_session_that_does_not_use_it_loads_two_small_modules(session, tmp_path):
    def loaded(*options):
        session(LOADED, *options)
        return set(json.loads((tmp_path / "loaded.json").read_text()))

    with_it, without = loaded(), loaded("-p", "no:datarecs")
    assert with_it - without == {"airflow_provider_datarecs", "airflow_provider_datarecs.pytest_plugin"}
    assert with_it & {"aiohttp", "airflow", "tenacity"} == set()


def test_a_session_in_which_every_warning_is_an_error_passes(session):
    # The plugins that this environment has besides warn of their own.
    session(
        "def test_it(datarecs_simulator): pass", "-W", "error", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
        PYTEST_PLUGINS="airflow_provider_datarecs.pytest_plugin",
    )  # fmt: skip


def test_the_marker_is_explained(pytestconfig):
    explained = [line.partition(":")[0] for line in pytestconfig.getini("markers")]
    assert "datarecs(scenario=None, conn_id='datarecs_default')" in explained
