"""What the page's app answers, mounted in Airflow's own, and to whom."""

from __future__ import annotations

import re

import pytest
from support.restricted import token_of
from support.results import result

from airflow_provider_datarecs.reconciliations import JOB_KEY, PATH
from airflow_provider_datarecs.reconciliations.page import PARTS, read_page

pytestmark = pytest.mark.compat

HOSTILE = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>'
WAYS = ("/", "/results", "/history?dag_id=mine&key=x")


def lines(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["lines"]


@pytest.mark.parametrize("path", WAYS)
def test_who_has_not_logged_in_gets_nothing(get, path):
    assert get(path).status_code == 401


@pytest.mark.parametrize("path", WAYS)
def test_who_has_a_forged_login_gets_nothing(airflow_app, path):
    from starlette.testclient import TestClient

    client = TestClient(airflow_app, cookies={"_token": f"{token_of('reader')[:-9]}AAAAAAAAA"})
    assert client.get(f"{PATH}{path}").status_code in (401, 403)


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/page.html"])
def test_there_is_nothing_else(get, path):
    assert get(path, "admin").status_code == 404


def test_who_may_read_no_xcoms_gets_no_figures(get, store):
    store.add("mine", result())
    store.write()
    for path in WAYS[1:]:
        answer = get(path, "nobody")
        assert (answer.status_code, "mine" in answer.text) == (403, False)


def test_a_restricted_user_sees_their_own_dags_alone(get, store):
    for dag_id in ("mine", "no_xcoms", "theirs"):
        store.add(dag_id, result())
    store.write()
    (line,) = lines(get("/results", "reader"))
    assert line["dag_id"] == "mine"
    assert {one["dag_id"] for one in lines(get("/results", "viewer"))} == {"mine", "no_xcoms", "theirs"}
    assert get("/history", "reader", dag_id="mine", key=line["key"]).json()["line"] == line
    for dag_id in ("no_xcoms", "theirs", "not there"):
        assert get("/history", "reader", dag_id=dag_id, key=line["key"]).status_code == 403


def test_history_of_what_is_gone_is_said_to_be_gone(get, store):
    store.add("mine", result())
    store.write()
    assert get("/history", "reader", dag_id="mine", key="[]").status_code == 404


def test_whatever_is_in_a_result_is_data(get, store):
    names = dict.fromkeys(("job_name", "workspace_name", "job_id", "run_id", "status", "error"), HOSTILE)
    store.add("mine", result(**names), url=f"javascript:{HOSTILE}", task_id="a")
    store.add(
        "mine", result(job_name="half \ud800", error={"message": "\udfff"}, run_id="2"), task_id="b", ago=1
    )
    store.add(
        "mine", result(max_unmatched_ratio=float("nan"), agreed=True, rows_matched=10**30, run_id="3"), ago=2
    )
    for number, odd in enumerate(("text", 3, ["list"], None, {}, {"no": "status"}, {"status": {"a": []}})):
        store.add("mine", odd, task_id=f"odd_{number}")
    store.write()
    answer = get("/results", "reader")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    points = {point["task_id"]: point for line in lines(answer) for point in line["points"]}
    assert points["a"]["name"] == points["a"]["error"] == HOSTILE
    assert (points["a"]["url"], points["a"]["state"]) == ("", "missing")
    assert (points["b"]["name"], points["b"]["error"]) == ("half ?", "?")
    assert (points["wait"]["limits"]["ratio"], points["wait"]["matched"]) == (None, None)
    assert sorted(task_id for task_id in points if task_id.startswith("odd")) == ["odd_6"]


def test_the_page_runs_what_is_in_it_and_nothing_else(get):
    answer = get("/", "reader")
    assert answer.text == read_page().html
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert len(answer.content) < 60_000
    assert re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?https?:", answer.text) == []


def test_the_page_is_put_together_of_all_its_parts():
    html = read_page().html
    for part in PARTS.iterdir():
        if part.name != "page.html":
            assert html.count(part.read_text("utf-8")) == 1, part.name
    for tag in ("style", "script"):
        assert html.count(f"<{tag}>") == html.count(f"</{tag}>") == 1


def test_a_job_is_named_as_it_was_started(get, store):
    store.add("mine", result(), task_id="wait")
    names = {
        "workspace_id": "ws_1",
        "job_id": "job_1",
        "job_name": "Balances",
        "workspace_name": "Production",
    }
    store.add("mine", names, task_id="trigger", key=JOB_KEY)
    store.write()
    (line,) = lines(get("/results", "reader"))
    assert (line["name"], line["workspace"]) == ("Balances", "Production")
    assert get("/history", "reader", dag_id="mine", key=line["key"]).json()["line"] == line
