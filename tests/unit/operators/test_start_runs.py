"""The three operators that start runs."""

from __future__ import annotations

import json

import pytest

from airflow_provider_datarecs.compat import AirflowException, AirflowFailException
from airflow_provider_datarecs.operators.trigger_job_group_run import TriggerJobGroupRunOperator
from airflow_provider_datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow_provider_datarecs.operators.trigger_job_run_by_name import TriggerJobRunByNameOperator
from airflow_provider_datarecs.reconciliations import JOB_KEY

pytestmark = pytest.mark.compat


def by_ids(**more):
    return TriggerJobRunOperator(task_id="t", job_id="job_ledger", workspace_id="ws_production", **more)


def by_names(**more):
    return TriggerJobRunByNameOperator(
        task_id="t", **{"workspace_name": "Production", "job_name": "ledger-vs-warehouse", **more}
    )


def of_a_group(**more):
    return TriggerJobGroupRunOperator(
        task_id="t", job_group_id="grp_nightly", workspace_id="ws_production", **more
    )


ALL = pytest.mark.parametrize(
    ("make", "path", "ids"),
    [
        (by_ids, "/jobs/job_ledger/run", {"job_id": "job_ledger"}),
        (by_names, "/jobs/job_ledger/run", {"job_id": "job_ledger"}),
        (of_a_group, "/job-groups/grp_nightly/run", {"job_group_id": "grp_nightly"}),
    ],
    ids=["by ids", "by names", "group"],
)


@ALL
def test_a_run_is_started_and_its_ids_are_pushed(simulator, context, ti, caplog, make, path, ids):
    caplog.set_level("INFO", "airflow_provider_datarecs")
    run_id = make(run_label="nightly-1").execute(context)
    (target_id,) = ids.values()
    (line,) = [line for line in caplog.messages if line.startswith("Started run")]
    assert line.startswith(f"Started run {run_id!r} of job")
    assert line.endswith(f"{target_id!r} in workspace 'ws_production', label 'nightly-1'")
    posted = simulator.requests[-1]
    assert (posted.method, posted.path, posted.query) == ("POST", path, {"workspace_id": "ws_production"})
    assert json.loads(posted.body) == {"run_label": "nightly-1"}
    pushed = {"run_id": run_id, "workspace_id": "ws_production", **ids}
    assert {key: ti.xcoms[key] for key in ti.xcoms if key != JOB_KEY} == pushed
    assert run_id.startswith("run_")


def test_a_job_that_was_found_by_its_name_has_it_pushed(simulator, context, ti):
    by_ids().execute(context)
    assert JOB_KEY not in ti.xcoms
    by_names().execute(context)
    names = {"workspace_name": "Production", "job_name": "ledger-vs-warehouse"}
    assert ti.xcoms[JOB_KEY] == {"workspace_id": "ws_production", "job_id": "job_ledger", **names}


@ALL
def test_without_a_label_there_is_no_body(simulator, context, make, path, ids):
    make().execute(context)
    assert simulator.requests[-1].body == ""


def test_a_key_that_may_not_start_runs_is_told_so(simulator, context, connect):
    connect(simulator.url, password="read-only-key")
    with pytest.raises(AirflowFailException, match=r"lacks the permission.*POST /jobs/job_ledger/run"):
        by_ids().execute(context)


def test_a_label_that_the_service_refuses_is_named(simulator, context):
    with pytest.raises(AirflowException, match=r"run_label: must be text of at most 200 characters"):
        by_ids(run_label="x" * 201).execute(context)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"workspace_name": "production"}, r"Workspace 'production' not found.*'Production', 'Staging'"),
        ({"job_name": "Ledger"}, r"Job 'Ledger' not found.*'always-fails', 'daily-balance-check'"),
    ],
)
def test_a_name_that_is_missing_is_told_with_those_there_are(simulator, context, names, message):
    with pytest.raises(AirflowException, match=message):
        by_names(**names).execute(context)
    assert [seen for seen in simulator.requests if seen.method == "POST"] == []


def test_a_job_name_that_is_not_unique_is_told_with_the_ids(simulator, context):
    simulator.world.add_job("job_other", "ledger-vs-warehouse", "ws_production")
    message = r"Multiple jobs named 'ledger-vs-warehouse' found.*job_ledger, job_other.*TriggerJobRunOperator"
    with pytest.raises(AirflowException, match=message):
        by_names().execute(context)


def test_a_workspace_name_that_is_not_unique_is_told_with_the_ids(simulator, context):
    simulator.world.add_workspace("ws_twin", "Production")
    with pytest.raises(
        AirflowException, match=r"Multiple workspaces named 'Production' found.*ws_production, ws_twin"
    ):
        by_names().execute(context)


@pytest.mark.parametrize(
    ("make", "fields"),
    [
        (by_ids, {"job_id", "workspace_id", "run_label", "conn_id"}),
        (by_names, {"workspace_name", "job_name", "run_label", "conn_id"}),
        (of_a_group, {"job_group_id", "workspace_id", "run_label", "conn_id"}),
    ],
)
def test_every_id_name_and_label_is_a_template(make, fields):
    assert set(make().template_fields) == fields


def test_another_connection_can_be_named(simulator, connect, context):
    connect(simulator.url, conn_id="other")
    connect("https://127.0.0.1:1")
    assert by_ids(conn_id="other").execute(context)
