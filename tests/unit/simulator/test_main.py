from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from support import ROOT

from airflow_provider_datarecs.simulator.__main__ import main

COMMAND = [sys.executable, "-m", "airflow_provider_datarecs.simulator"]


def run(*arguments):
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@contextmanager
def running(*arguments, host="127.0.0.1"):
    """
    Run the command on a free port; gives its URL and what it printed when it was ready.

    What it printed after that is in ``running.printed`` when it has ended.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as unused:
        unused.bind((host, 0))
        port = unused.getsockname()[1]
    with run("--host", host, "--port", str(port), *arguments) as process:
        try:
            shown = f"[{host}]" if ":" in host else host
            yield f"http://{shown}:{port}", process.stdout.readline()
        finally:
            process.send_signal(signal.SIGINT)
            running.printed, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")


def status(url, key, method="GET"):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"}, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_it_serves_the_demo_until_interrupted():
    with running() as (url, line):
        assert line == f"DataRecs simulator on {url}, API keys: demo-key, read-only-key\n"
        assert status(f"{url}/workspaces", "demo-key") == 200
        assert status(f"{url}/v1/job-groups/grp_nightly/runs?workspace_id=ws_production", "demo-key") == 200


def test_each_request_is_a_line_that_says_what_was_done_and_never_the_key():
    with running("--api-key", "s3cret") as (url, _):
        query = "workspace_id=ws_production"
        asked = [
            ("GET", "/", "", "200"),
            ("GET", "/workspaces", "", "200: a list of 2"),
            ("POST", "/v1/jobs/job_ledger/run", "s3cret", "201: started run run_000001 of job_ledger"),
            ("GET", "/jobs/job_ledger/runs/run_000001", "s3cret", "200: run run_000001 is QUEUED"),
            ("POST", "/jobs/job_ledger/runs/run_000001/cancel", "s3cret", "202: cancelled run run_000001"),
            ("GET", "/jobs/no-such-job/runs", "s3cret", "404"),
            ("GET", "/jobs", "other-key", "401: no known API key"),
        ]
        for method, path, key, _ in asked:
            status(f"{url}{path}?{query}", key or "s3cret", method)
    told = [line.partition(" ") for line in running.printed.splitlines()]
    assert [line for _, _, line in told] == [f"{method} {path} {did}" for method, path, _, did in asked]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d", at) for at, _, _ in told)
    assert "s3cret" not in running.printed


@pytest.mark.usefixtures("ipv6")
def test_it_serves_over_ipv6():
    with running(host="::1") as (url, line):
        assert line.startswith(f"DataRecs simulator on {url}, ")
        assert status(f"{url}/workspaces", "demo-key") == 200


def test_a_scenario_and_keys_of_ones_own(tmp_path):
    scenario = tmp_path / "scenario.json"
    scenario.write_text(json.dumps({"faults": [{"path": "/jobs", "status": 503}]}))
    with running("--scenario", str(scenario), "--api-key", "s3cret", "--api-key", "other") as (url, line):
        assert line == f"DataRecs simulator on {url}, API keys: as given\n"
        assert [status(f"{url}/workspaces", key) for key in ("s3cret", "other", "demo-key")] == [
            200,
            200,
            401,
        ]
        assert status(f"{url}/jobs", "s3cret") == 503


@pytest.mark.parametrize("arguments", [["--port", "x"], ["--nonsense"], ["--scenario", "nowhere.json"]])
def test_a_wrong_argument_is_told(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["simulator", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "python -m airflow_provider_datarecs.simulator: error:" in capsys.readouterr().err


@pytest.mark.parametrize("given", [("--webhook-url", "http://localhost"), ("--webhook-secret", "s")])
def test_an_endpoint_for_events_needs_a_url_and_a_secret(monkeypatch, capsys, given):
    monkeypatch.setattr(sys, "argv", ["simulator", *given])
    with pytest.raises(SystemExit):
        main()
    assert "--webhook-url and --webhook-secret go together" in capsys.readouterr().err
