"""Whether the data agree: what limits make of a run's counts, in every component that takes them."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
from datetime import datetime, timezone

import pytest
from airflow.decorators import task_group
from airflow.models.dag import DAG

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import AIRFLOW_VERSION, AirflowFailException, AirflowSkipException
from airflow_provider_datarecs.exceptions import (
    DataRecsCountsMissing,
    DataRecsRowsUnmatched,
    DataRecsRunUnsuccessful,
)
from airflow_provider_datarecs.operators.get_job_run_result import GetJobRunResultOperator
from airflow_provider_datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow_provider_datarecs.sensors.job_run import JobRunSensor
from airflow_provider_datarecs.simulator import Fault, Plan

if AIRFLOW_VERSION >= (3, 0):
    from airflow.providers.standard.operators.empty import EmptyOperator
else:
    from airflow.operators.empty import EmptyOperator

pytestmark = pytest.mark.compat

JOB = {"job_id": "job_ledger", "workspace_id": "ws_production"}
GROUP = {"job_group_id": "grp_nightly", "workspace_id": "ws_production"}


def counts(processed=1000, unmatched=0, **more):
    matched = None if None in (processed, unmatched) else processed - unmatched
    return Plan(
        queued=0,
        running=0,
        rows_processed=processed,
        rows_matched=matched,
        rows_unmatched=unmatched,
        **more,
    )


@pytest.fixture
def group_finished(simulator):
    """Start a run of the nightly group whose jobs go by these plans, and give its id."""

    def finished(balance, ledger):
        simulator.world.owners[TargetKind.JOB]["job_daily_balance"].plan = balance
        simulator.world.owners[TargetKind.JOB]["job_ledger"].plan = ledger
        group = simulator.world.owners[TargetKind.JOB_GROUP]["grp_nightly"]
        return simulator.world.start_run(TargetKind.JOB_GROUP, group).id

    return finished


class Outlets(dict):
    """What Airflow gives a task for the events of its assets."""

    def __missing__(self, outlet):
        self[outlet] = type("Event", (), {"extra": None})()
        return self[outlet]


class Asset:
    """What has a URI, as Airflow's assets and datasets have."""

    uri = "datarecs://ledger"


@pytest.fixture
def context(ti):
    return {"ti": ti, "outlet_events": Outlets()}


def result_operator(run_id, **more):
    return GetJobRunResultOperator(task_id="t", **JOB, run_id=run_id, **more)


def poking_sensor(run_id, **more):
    return JobRunSensor(task_id="t", **JOB, run_id=run_id, deferrable=False, poke_interval=1, **more)


def rescheduling_sensor(run_id, **more):
    return poking_sensor(run_id, mode="reschedule", **more)


def group_sensor(run_id, **more):
    return JobGroupRunSensor(task_id="t", **GROUP, run_id=run_id, deferrable=False, poke_interval=1, **more)


ALL = pytest.mark.parametrize("make", [result_operator, poking_sensor, rescheduling_sensor])
pytestmark = pytest.mark.usefixtures("airflow_db")


@ALL
@pytest.mark.parametrize(
    ("plan", "limits"),
    [
        (counts(unmatched=999), {}),
        (counts(processed=None, unmatched=None), {}),
        (counts(unmatched=0), {"max_unmatched_rows": 0}),
        (counts(unmatched=5), {"max_unmatched_rows": 5}),
        (counts(unmatched=5), {"max_unmatched_rows": "5"}),
        (counts(processed=None, unmatched=5), {"max_unmatched_rows": 5}),
        (counts(unmatched=0), {"max_unmatched_ratio": 0}),
        (counts(unmatched=5), {"max_unmatched_ratio": 0.005}),
        (counts(unmatched=5), {"max_unmatched_ratio": "0.005"}),
        (counts(processed=100, unmatched=29), {"max_unmatched_ratio": 0.29}),
        (counts(unmatched=1000), {"max_unmatched_ratio": 1}),
        (counts(processed=0, unmatched=0), {"max_unmatched_ratio": 0, "max_unmatched_rows": 0}),
        (counts(unmatched=5), {"max_unmatched_ratio": 0.005, "max_unmatched_rows": 5}),
    ],
)
def test_what_is_within_the_limits_succeeds(context, ti, started, make, plan, limits):
    result = make(started(plan), **limits).execute(context)
    assert result["status"] == "COMPLETED"
    assert ti.xcoms["run_result"] == result


OVER = pytest.mark.parametrize(
    ("plan", "limits", "told"),
    [
        (
            counts(unmatched=1),
            {"max_unmatched_rows": 0},
            "1 of 1,000 rows are unmatched, over max_unmatched_rows=0",
        ),
        (
            counts(unmatched=6),
            {"max_unmatched_ratio": 0.005},
            r"6 of 1,000 rows are unmatched \(0.6000%\), over max_unmatched_ratio=0.005",
        ),
        (
            counts(processed=0, unmatched=6),
            {"max_unmatched_ratio": 0.5},
            r"6 of 0 rows are unmatched \(100.0000%\), over max_unmatched_ratio=0.5",
        ),
        (
            counts(unmatched=6),
            {"max_unmatched_ratio": 0.5, "max_unmatched_rows": 5},
            "6 of 1,000 rows are unmatched, over max_unmatched_rows=5",
        ),
    ],
    ids=["rows", "ratio", "no rows", "one of two"],
)


@ALL
@OVER
def test_what_is_over_a_limit_fails_with_the_figures(context, ti, started, make, plan, limits, told):
    run_id = started(plan)
    with pytest.raises(DataRecsRowsUnmatched, match=f"{told}: run '{run_id}' of job 'job_ledger'") as caught:
        make(run_id, **limits).execute(context)
    error = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(error, AirflowFailException)
    assert (error.run_id, error.result) == (run_id, ti.xcoms["run_result"])
    assert error.result["rows_unmatched"] == plan.rows_unmatched
    assert error.max_unmatched_rows == limits.get("max_unmatched_rows")
    assert error.max_unmatched_ratio == limits.get("max_unmatched_ratio")


@ALL
@pytest.mark.parametrize(
    ("plan", "limits", "agreed"),
    [
        (counts(unmatched=5), {"max_unmatched_rows": 5}, True),
        (counts(unmatched=6), {"max_unmatched_rows": 5}, False),
        (counts(unmatched=None), {"max_unmatched_rows": 5}, None),
    ],
    ids=["within", "over", "unknown"],
)
def test_a_result_says_whether_the_data_agree_where_there_is_a_limit(
    context, ti, started, make, plan, limits, agreed
):
    run_id = started(plan)
    with contextlib.nullcontext() if agreed else pytest.raises(DataRecsRunUnsuccessful):
        make(run_id, **limits).execute(context)
    result = ti.xcoms["run_result"]
    assert result["agreed"] is agreed
    assert (result["max_unmatched_rows"], result["max_unmatched_ratio"]) == (5, None)
    make(run_id).execute(context)
    assert not {"agreed", "max_unmatched_rows", "max_unmatched_ratio"} & set(ti.xcoms["run_result"])


@ALL
@OVER
def test_what_is_over_a_limit_may_skip(context, ti, started, make, plan, limits, told):
    with pytest.raises(AirflowSkipException, match=told):
        make(started(plan), **limits, on_unmatched="skip", outlets=[Asset()]).execute(context)
    assert ti.xcoms["run_result"]["status"] == "COMPLETED"
    assert context["outlet_events"] == {}


@ALL
@OVER
def test_what_is_over_a_limit_may_warn(context, started, make, plan, limits, told):
    assert make(started(plan), **limits, on_unmatched="warn").execute(context)["status"] == "COMPLETED"


@pytest.mark.parametrize("make", [poking_sensor, rescheduling_sensor])
def test_soft_fail_skips_what_is_over_a_limit(context, started, make):
    with pytest.raises(AirflowSkipException, match="over max_unmatched_rows=0"):
        make(started(counts(unmatched=1)), max_unmatched_rows=0, soft_fail=True).execute(context)


@pytest.mark.parametrize("on_unmatched", ["fail", "skip", "warn"])
@ALL
@pytest.mark.parametrize(
    ("plan", "limits", "told"),
    [
        (counts(unmatched=None), {"max_unmatched_rows": 9}, "no rows_unmatched"),
        (counts(processed=None), {"max_unmatched_ratio": 0.9}, "no rows_processed"),
        (counts(unmatched=-1), {"max_unmatched_rows": 9}, "rows_unmatched as -1"),
    ],
    ids=["no unmatched", "no processed", "negative"],
)
def test_counts_that_do_not_tell_fail_where_there_is_a_limit(
    context, started, make, plan, limits, told, on_unmatched
):
    with pytest.raises(DataRecsCountsMissing, match=f"Nobody can say whether the data agree.*{told}"):
        make(started(plan), **limits, on_unmatched=on_unmatched).execute(context)


@pytest.mark.parametrize("on_unmatched", ["fail", "skip", "warn"])
@pytest.mark.parametrize("status", ["FAILED", "CANCELLED"])
def test_the_result_of_a_run_that_did_not_complete_says_nothing_of_the_data(
    simulator, context, started, status, on_unmatched
):
    run_id = started(Plan(queued=0, running=0, status=status))
    assert result_operator(run_id).execute(context)["status"] == status
    limits = {"max_unmatched_rows": 10, "on_unmatched": on_unmatched}
    with pytest.raises(DataRecsCountsMissing, match=f"the run is {status}"):
        result_operator(run_id, **limits).execute(context)
    # Even where it tells how far it came.
    shown = {"id": run_id, "status": status, "rows_processed": 100, "rows_unmatched": 50}
    simulator.faults.append(Fault(status=200, body=shown))
    with pytest.raises(DataRecsCountsMissing, match=f"the run is {status}"):
        result_operator(run_id, **limits).execute(context)


@ALL
@pytest.mark.parametrize(
    "arguments",
    [
        {"max_unmatched_rows": -1},
        {"max_unmatched_rows": "many"},
        {"max_unmatched_rows": 0.5},
        {"max_unmatched_rows": True},
        {"max_unmatched_ratio": 1.5},
        {"max_unmatched_ratio": "nan"},
        {"max_unmatched_ratio": ""},
        {"max_unmatched_rows": 0, "on_unmatched": "ignore"},
    ],
    ids=str,
)
def test_a_limit_that_cannot_be_right_is_refused_before_anything_is_sent(simulator, context, make, arguments):
    task = make("r", **dict.fromkeys(arguments, "{{ params.it }}"))
    for name, value in arguments.items():
        setattr(task, name, value)  # as Airflow renders it
    with pytest.raises(AirflowFailException, match=list(arguments)[-1]):
        task.execute(context)
    assert simulator.requests == []


@ALL
@pytest.mark.parametrize("nothing", [None, "None"])
def test_a_template_that_finds_nothing_lifts_no_limit(context, started, make, nothing):
    task = make(started(counts(unmatched=999)), max_unmatched_rows="{{ params.limit }}")
    task.max_unmatched_rows = nothing  # as Airflow renders it, natively or not
    with pytest.raises(AirflowFailException, match=r"max_unmatched_rows is .*its template found nothing"):
        task.execute(context)


@ALL
@pytest.mark.parametrize(
    "nothing", [None, "None", "", "{{ nobody renders this }}"], ids=["native", "text", "empty", "template"]
)
def test_what_a_template_makes_of_a_limit_lifts_it_neither_when_it_is_rendered_twice(
    context, started, make, nothing
):
    task = make(started(counts(unmatched=999)), max_unmatched_ratio="{{ params.limit }}")
    for _ in range(2):
        task.max_unmatched_ratio = nothing
    with pytest.raises(AirflowFailException, match="max_unmatched_ratio is "):
        copy.copy(copy.deepcopy(task)).execute(context)


@ALL
@pytest.mark.parametrize("before", [None, 1000, "{{ params.limit }}"])
def test_a_limit_that_is_set_later_counts(context, started, make, before):
    task = make(started(counts(unmatched=10)), max_unmatched_rows=before)
    task.max_unmatched_rows = 0  # as a cluster's policy does
    with pytest.raises(DataRecsRowsUnmatched, match="over max_unmatched_rows=0"):
        task.execute(context)


@ALL
def test_a_limit_that_is_lifted_later_is_lifted(context, started, make):
    task = make(started(counts(unmatched=10)), max_unmatched_rows=0)
    task.max_unmatched_rows = None
    assert task.execute(context)["status"] == "COMPLETED"


@ALL
def test_what_follows_a_template_that_found_nothing_counts(context, started, make):
    task = make(started(counts(unmatched=10)), max_unmatched_rows="{{ params.limit }}")
    task.max_unmatched_rows = None
    task.max_unmatched_rows = 10
    assert task.execute(context)["status"] == "COMPLETED"


@pytest.mark.parametrize("kind", [GetJobRunResultOperator, JobRunSensor])
def test_a_subclass_may_set_a_limit(context, started, kind):
    class Strict(kind):
        def __init__(self, **arguments):
            super().__init__(**arguments)
            self.max_unmatched_rows = 0

    more = {"deferrable": False} if kind is JobRunSensor else {}
    with pytest.raises(DataRecsRowsUnmatched):
        Strict(task_id="t", **JOB, run_id=started(counts(unmatched=10)), **more).execute(context)


@ALL
@pytest.mark.parametrize(("given", "unmatched", "agree"), [(None, 999, True), (5, 5, True), (5, 6, False)])
def test_each_of_several_mapped_groups_has_its_own_limit_or_none(
    context, started, make, given, unmatched, agree
):
    arguments = []

    with DAG(dag_id="dag", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)):

        @task_group
        def group(limit):
            arguments.append(limit)
            EmptyOperator(task_id="one")

        group.expand(limit=[None, 5])
    task = make(started(counts(unmatched=unmatched)), max_unmatched_rows=arguments[0])
    task.max_unmatched_rows = given  # as Airflow renders it
    with contextlib.nullcontext() if agree else pytest.raises(DataRecsRowsUnmatched):
        assert task.execute(context)["status"] == "COMPLETED"


@ALL
def test_an_xcom_that_is_not_there_lifts_no_limit(context, started, make):
    with DAG(dag_id="dag", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)):
        limit = EmptyOperator(task_id="limit").output
        task = make(started(counts(unmatched=999)), max_unmatched_rows=limit)
    task.max_unmatched_rows = None  # as Airflow renders it
    with pytest.raises(AirflowFailException, match=r"max_unmatched_rows is .*its template found nothing"):
        task.execute(context)


def shown_with(simulator, run_id, **fields):
    """Let the service show a COMPLETED run with these counts."""
    body = {"id": run_id, "status": "COMPLETED", "rows_processed": 1000, "rows_matched": 1000, **fields}
    simulator.faults.append(Fault(times=None, method="GET", status=200, body=body))


@ALL
@pytest.mark.parametrize("given", ["3", 3.0, "3.0"])
def test_a_whole_number_is_held_to_the_limit_however_it_comes(context, simulator, started, make, given):
    run_id = started(counts())
    shown_with(simulator, run_id, rows_unmatched=given)
    assert make(run_id, max_unmatched_rows=3).execute(context)["rows_unmatched"] == 3
    with pytest.raises(DataRecsRowsUnmatched, match="3 of 1,000 rows are unmatched"):
        make(run_id, max_unmatched_rows=2).execute(context)


@ALL
@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"rows_unmatched": "few"}, "DataRecs gives rows_unmatched as 'few', which is no number of rows"),
        ({"rows_unmatched": 0.5}, "DataRecs gives rows_unmatched as 0.5, which is no number of rows"),
        ({"rows_unmatched": -1}, "DataRecs gives rows_unmatched as -1, which is no number of rows"),
        ({"rows_unmatched": 0, "rows_processed": "?"}, r"gives rows_processed as '\?', which is no number"),
        ({}, "DataRecs gives no rows_unmatched"),
    ],
)
def test_what_cannot_be_read_is_not_said_to_be_missing(context, simulator, started, make, fields, told):
    run_id = started(counts())
    shown_with(simulator, run_id, **fields)
    with pytest.raises(DataRecsCountsMissing, match=told):
        make(run_id, max_unmatched_rows=0, max_unmatched_ratio=0).execute(context)


def test_the_sums_and_each_job_run_of_a_group_are_held_to_the_limits(context, group_finished):
    run_id = group_finished(counts(10_000, 30), counts(100, 30))
    with pytest.raises(DataRecsRowsUnmatched) as caught:
        group_sensor(run_id, max_unmatched_rows=50, max_unmatched_ratio=0.1).execute(context)
    assert "in all, 60 of 10,100 rows are unmatched, over max_unmatched_rows=50" in str(caught.value)
    assert "job 'job_ledger': 30 of 100 rows are unmatched (30.0000%)" in str(caught.value)
    assert "job_daily_balance" not in str(caught.value)


def test_a_group_within_the_limits_succeeds(context, group_finished):
    run_id = group_finished(counts(10_000, 10), counts(100, 1))
    result = group_sensor(run_id, max_unmatched_rows=11, max_unmatched_ratio=0.01).execute(context)
    assert (result["rows_processed"], result["rows_unmatched"]) == (10_100, 11)


def test_a_job_run_without_counts_leaves_a_group_in_doubt(context, group_finished):
    run_id = group_finished(counts(), counts(unmatched=None))
    with pytest.raises(DataRecsCountsMissing, match=r"in all, DataRecs gives no.*job 'job_ledger': DataRecs"):
        group_sensor(run_id, max_unmatched_rows=0).execute(context)


def test_a_group_that_is_over_a_limit_in_one_job_and_without_counts_in_another_never_succeeds(
    context, group_finished
):
    run_id = group_finished(counts(unmatched=9), counts(unmatched=None))
    with pytest.raises(DataRecsRowsUnmatched, match=r"'job_daily_balance': 9 of .*'job_ledger': DataRecs"):
        group_sensor(run_id, max_unmatched_rows=0).execute(context)
    for on_unmatched in ("skip", "warn"):
        with pytest.raises(DataRecsCountsMissing, match=r"'job_ledger': DataRecs.*'job_daily_balance': 9 of"):
            group_sensor(run_id, max_unmatched_rows=0, on_unmatched=on_unmatched).execute(context)


def test_the_failure_says_where_to_look(context, connect, simulator, started):
    connect(simulator.url, extra=json.dumps({"console_url": "https://console.example"}))
    run_id = started(counts(unmatched=1))
    with pytest.raises(
        DataRecsRowsUnmatched, match=rf"https://console\.example/\S+/runs/{run_id}\."
    ) as caught:
        result_operator(run_id, max_unmatched_rows=0).execute(context)
    assert caught.value.url.endswith(f"/runs/{run_id}")


if AIRFLOW_VERSION >= (2, 10):

    @ALL
    @pytest.mark.parametrize(
        ("limits", "agreed"),
        [
            ({}, None),
            ({"max_unmatched_rows": 6}, True),
            ({"max_unmatched_rows": 5, "on_unmatched": "warn"}, False),
        ],
        ids=["no limit", "within", "over"],
    )
    def test_an_outlet_is_told_the_result(context, ti, started, make, limits, agreed):
        asset, alias, run_id = Asset(), object(), started(counts(unmatched=6))
        make(run_id, **limits, outlets=[asset, alias]).execute(context)
        assert list(context["outlet_events"]) == [asset]
        result = ti.xcoms["run_result"]
        assert json.loads(json.dumps(context["outlet_events"][asset].extra)) == {
            **JOB,
            "run_id": run_id,
            "status": "COMPLETED",
            "rows_processed": 1000,
            "rows_matched": 994,
            "rows_unmatched": 6,
            "started_at": result["started_at"],
            "completed_at": result["completed_at"],
            "agreed": agreed,
        }
