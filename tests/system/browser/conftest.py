"""
What users see of this provider on Airflow's pages, in a real browser.

One Airflow serves all tests, and in it one run of the first DAG, which waits until a test lets it go on.
"""

from __future__ import annotations

import json
import secrets
import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from airflow import __version__ as airflow_version
from playwright.sync_api import expect, sync_playwright
from support import EXAMPLES, ROOT
from support.airflow import COMPONENTS, IS_AIRFLOW_3, Airflow, free_port, is_open
from support.pages import PAGES

from airflow_provider_datarecs.compat import PAGES_SHOW_VIEWS
from airflow_provider_datarecs.simulator import ApiKey, Plan, Simulator, default_world

collect_ignore = [] if PAGES_SHOW_VIEWS else ["test_reconciliations.py"]

DAG_ID = "reconcile_daily_balances"
JOB_ID = "job_daily_balance"
CONSOLE = {"console_url": "https://app.datarecs.io"}
# As root, and without what it would ask its vendor's hosts for.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SLOW = Plan(queued=0, running=3600, rows_processed=120000, rows_matched=119988, rows_unmatched=12)
WIDTH, HEIGHT = 1280, 800
PATIENCE = 60.0  # seconds, for a machine that does other work as well
WITHOUT_CONSOLE = """
from datetime import datetime
from airflow.models.dag import DAG
from airflow.providers.datarecs.operators.trigger_job_run import TriggerJobRunOperator

with DAG(dag_id="no_console", schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False):
    TriggerJobRunOperator(
        task_id="trigger", job_id="job_ledger", workspace_id="ws_production", conn_id="plain_http_allowed"
    )
"""
KEY, READ_ONLY_KEY = secrets.token_hex(16), secrets.token_hex(16)


class ProxyLogin(BaseHTTPRequestHandler):
    """What answers where the Host of a connection is not the API."""

    def do_GET(self):
        body = b"<html>Please log in</html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def simulator():
    world = default_world()
    world.api_keys = [ApiKey(KEY), ApiKey(READ_ONLY_KEY, read_only=True)]
    world.add_job(JOB_ID, "daily-balance-check", "ws_production", SLOW)
    with Simulator(world) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def connections(simulator):
    """The fields of connections that can be tested, by id."""
    anywhere = simulator.url.replace("127.0.0.1", "0.0.0.0")  # this machine, but no loopback address
    with HTTPServer(("127.0.0.1", 0), ProxyLogin) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        yield {
            "datarecs_default": {
                "host": simulator.url,
                "password": KEY,
                "extra": CONSOLE,
            },
            "read_only": {"host": simulator.url, "password": READ_ONLY_KEY},
            "wrong_key": {"host": simulator.url, "password": "wrong"},
            "no_key": {"host": simulator.url},
            "unreachable": {"host": f"http://127.0.0.1:{free_port()}", "password": KEY},
            "plain_http": {"host": anywhere, "password": KEY},
            "plain_http_allowed": {
                "host": anywhere,
                "password": KEY,
                "extra": {"allow_insecure_http": True},
            },
            "not_the_api": {"host": f"http://127.0.0.1:{other.server_port}", "password": KEY},
        }
        other.shutdown()


@pytest.fixture(scope="session")
def airflow(browser, simulator, connections, tmp_path_factory):
    """Run an Airflow with its pages, with these connections and one run of the first DAG."""
    folder = tmp_path_factory.mktemp("browser")
    dags = folder / "dags"
    dags.mkdir()
    environ = {
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "support.machine.name",
        "PYTHONPATH": str(ROOT / "tests"),
        # Long lines of logs are broken, on 2.x and on 3.x.
        "AIRFLOW__WEBSERVER__DEFAULT_WRAP": "True",
        "AIRFLOW__API__DEFAULT_WRAP": "True",
    }
    with Airflow(
        folder / "airflow",
        dags,
        host=simulator.url,
        api_key=KEY,
        environ=environ,
        components=COMPONENTS if IS_AIRFLOW_3 else ("webserver", *COMPONENTS),
        serve_logs=True,
    ) as airflow:
        stored = {
            # The port as well, without which Airflow 3.3 refuses to test a connection.
            conn_id: {"conn_type": "datarecs", "port": urlsplit(fields["host"]).port, **fields}
            for conn_id, fields in connections.items()
        }
        stored["no_port"] = {**stored["datarecs_default"], "port": None}
        (folder / "connections.json").write_text(json.dumps(stored))
        airflow.cli("connections", "import", "--overwrite", str(folder / "connections.json"))
        example = (EXAMPLES / f"{DAG_ID}.py").read_text()
        (dags / "example.py").write_text(example.replace("poke_interval=30", "poke_interval=5"))
        (dags / "without_console.py").write_text(WITHOUT_CONSOLE)
        airflow.wait_until(lambda: is_open(airflow.port), "the pages are served")
        yield airflow


@pytest.fixture(scope="session")
def browser():
    """A browser."""
    if not shutil.which("chromium"):
        pytest.skip("Chromium is not here; `make services` installs it from Debian, as root")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        expect.set_options(PATIENCE * 1000)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def open_window(browser):
    """Open windows of it, each with its own cookies."""

    def open_window(**more):
        size = {"width": WIDTH, "height": HEIGHT}
        window = browser.new_context(**{"viewport": size, "locale": "en-US", "timezone_id": "UTC", **more})
        window.set_default_timeout(PATIENCE * 1000)
        return window

    return open_window


@pytest.fixture(scope="session")
def window(open_window, airflow):
    """A window in which somebody has logged in."""
    window = open_window()
    PAGES(window.new_page(), airflow.url).log_in()
    return window


@pytest.fixture
def pages(window, airflow):
    """The pages, in a tab of their own."""
    page = window.new_page()
    yield PAGES(page, airflow.url)
    page.close()


@pytest.fixture
def take_of(request):
    """Take a picture of what is on a page now, where ``--screenshots`` says."""
    folder = request.config.getoption("--screenshots")
    version = ".".join(airflow_version.split(".")[:2])

    def take_of(page, name, height=HEIGHT, width=WIDTH):
        if folder:
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_load_state("networkidle")
            page.screenshot(path=Path(folder) / f"{version}-{name}.png", animations="disabled")

    return take_of


@pytest.fixture
def take(pages, take_of):
    """The same, of the page that is open."""
    return lambda name, height=HEIGHT: take_of(pages.page, name, height)


@pytest.fixture(scope="session")
def waiting(airflow):
    """The id of the DAG run, once its task ``wait`` is deferred and has looked at its run."""
    run_id = airflow.scheduled_run(DAG_ID)
    airflow.wait_until(lambda: "RUNNING" in airflow.task_log(DAG_ID, "wait"), "the trigger has looked")
    return run_id


@pytest.fixture(scope="session")
def finished(airflow, simulator, waiting):
    """The same, once the DAG run has ended."""
    simulator.world.finish_runs(JOB_ID)
    airflow.wait_until(lambda: airflow.run_state(DAG_ID, waiting) == "success", "the DAG run has succeeded")
    return waiting
