"""The examples, run to their end by a real Airflow."""

from __future__ import annotations

import importlib.util
import json
import re

import pytest
from support.airflow import IS_AIRFLOW_3
from support.servers import Chat, Mailbox

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.compat import AIRFLOW_VERSION
from airflow_provider_datarecs.compat.task_ends import TRIGGERS_CAN_END_TASKS
from airflow_provider_datarecs.simulator import Plan

pytestmark = pytest.mark.airflow

RESULT = {"status": "COMPLETED", "rows_processed": 120000, "rows_matched": 119988, "rows_unmatched": 12}


BY_HAND = {  # what each run of them is called
    **({"documented_daily_balances": "by-hand"} if IS_AIRFLOW_3 else {}),
    "reconcile_nightly_group": "nightly",
    "reconcile_first_job": "first",
    "reconcile_all_jobs": "all",
    "reconcile_then_publish": "published",
    "reconcile_with_the_hook": "by-hand",
}


@pytest.fixture(scope="module", autouse=True)
def started(airflow):
    """Start what is started by hand, so that all of it runs side by side."""
    for dag_id, run_id in BY_HAND.items():
        airflow.trigger_dag(dag_id, run_id)


def run_to_the_end(airflow, dag_id, run_id):
    """Wait until a DAG run has succeeded, and give the names of its tasks."""
    airflow.wait_until(
        lambda: airflow.run_state(dag_id, run_id) in ("success", "failed"), f"{dag_id} has ended"
    )
    tasks = set(airflow.tasks(dag_id, run_id))
    logs = "\n".join(airflow.task_log(dag_id, task_id.partition("[")[0]) for task_id in tasks)
    assert airflow.run_state(dag_id, run_id) == "success", logs[-6000:]
    return tasks


def ran_on_the_triggerer(airflow, dag_id, run_id, task_id):
    return list(
        airflow.home.glob(f"logs/dag_id={dag_id}/run_id={run_id}/task_id={task_id}/**/*.trigger.*.log")
    )


def check_the_daily_dag(airflow, dag_id, run_id):
    assert run_to_the_end(airflow, dag_id, run_id) == {"trigger", "wait", "result"}
    assert ran_on_the_triggerer(airflow, dag_id, run_id, "wait")
    for task_id in ("wait", "result"):
        result = airflow.xcom(dag_id, run_id, task_id, "run_result")
        assert {key: result[key] for key in RESULT} == RESULT


@pytest.mark.compat
def test_the_first_dag_gives_the_result(airflow):
    run_id = airflow.scheduled_run("reconcile_daily_balances")
    check_the_daily_dag(airflow, "reconcile_daily_balances", run_id)


if IS_AIRFLOW_3:

    @pytest.mark.compat
    def test_the_text_without_a_start_date_gives_the_result_when_it_is_triggered(airflow):
        # Airflow 3 accepts it, but starts no run of its own.
        check_the_daily_dag(airflow, "documented_daily_balances", "by-hand")


@pytest.mark.compat
def test_a_run_by_ids_carries_its_label(airflow, live_simulator):
    run_id = airflow.scheduled_run("reconcile_by_ids")
    run_to_the_end(airflow, "reconcile_by_ids", run_id)
    labels = [run.label or "" for run in live_simulator.world.runs[TargetKind.JOB]]
    assert len([label for label in labels if label.startswith(f"nightly {run_id} ")]) == 1


@pytest.mark.compat
def test_it_ends_on_the_triggerer_where_airflow_can_and_nothing_listens(airflow):
    run_id = airflow.scheduled_run("reconcile_by_ids")
    run_to_the_end(airflow, "reconcile_by_ids", run_id)
    log = airflow.task_log("reconcile_by_ids", "wait")
    is_heard = importlib.util.find_spec("airflow.providers.openlineage") is not None
    ends_here = TRIGGERS_CAN_END_TASKS and not is_heard
    assert ("Ending the task here, without a worker" in log) is ends_here
    assert ("The task will end on a worker in spite of end_from_trigger" in log) is not ends_here
    assert airflow.xcom("reconcile_by_ids", run_id, "wait", "run_result")["status"] == "COMPLETED"


@pytest.mark.compat
def test_a_group_gives_the_sums_over_its_jobs(airflow):
    run_id = airflow.scheduled_run("reconcile_group")
    run_to_the_end(airflow, "reconcile_group", run_id)
    assert ran_on_the_triggerer(airflow, "reconcile_group", run_id, "wait")
    result = airflow.xcom("reconcile_group", run_id, "wait", "run_result")
    assert (result["status"], result["rows_processed"]) == ("COMPLETED", 165000)
    assert {run["job_id"] for run in result["runs"]} == {"job_daily_balance", "job_ledger"}


def test_a_group_is_reconciled_in_one_call(airflow):
    tasks = run_to_the_end(airflow, "reconcile_nightly_group", "nightly")
    assert tasks == {"nightly.trigger", "nightly.wait"}
    assert (
        airflow.xcom("reconcile_nightly_group", "nightly", "nightly.wait", "run_result")["status"]
        == "COMPLETED"
    )


@pytest.mark.compat
def test_list_operators_feed_templates(airflow):
    run_to_the_end(airflow, "reconcile_first_job", "first")
    assert airflow.xcom("reconcile_first_job", "first", "trigger", "job_id") == "job_daily_balance"


@pytest.mark.compat
def test_jobs_fan_out_over_mapped_tasks(airflow):
    tasks = run_to_the_end(airflow, "reconcile_all_jobs", "all")
    assert tasks == {"list_jobs", "trigger[0]", "wait[0]"}
    if AIRFLOW_VERSION >= (2, 9):
        shown = airflow.tasks("reconcile_all_jobs", "all")
        names = {shown[name]["rendered_map_index"] for name in ("trigger[0]", "wait[0]")}
        assert names == {"daily-balance-check"}


@pytest.fixture
def many_jobs(live_simulator):
    """A workspace of many jobs, of which the runs of one fail and those of another find differences."""
    world = live_simulator.world
    jobs = {f"job_{number}": f"table {number}" for number in range(12 if IS_AIRFLOW_3 else 5)}
    agrees = {"queued": 0, "running": 1, "rows_processed": 2000, "rows_matched": 2000, "rows_unmatched": 0}
    world.add_workspace("ws_many", "Many")
    for job_id, name in jobs.items():
        world.add_job(job_id, name, "ws_many", Plan(**agrees))
    world.plan_runs("job_2", Plan(queued=0, running=1, status="FAILED", error="disk full"))
    world.plan_runs("job_4", Plan(**{**agrees, "rows_matched": 500, "rows_unmatched": 1500}))
    limit, world.rate_limit.requests = world.rate_limit.requests, 10_000
    yield jobs
    # Others count the workspaces and jobs.
    world.rate_limit.requests = limit
    del world.workspaces["ws_many"]
    for job_id in jobs:
        del world.owners[TargetKind.JOB][job_id]


def test_all_results_are_collected_whichever_fails(airflow, many_jobs):
    dag_id = "collect_all_results"
    airflow.trigger_dag(dag_id, "many", {"workspace_id": "ws_many"})
    over = lambda: airflow.run_state(dag_id, "many") in ("success", "failed")  # noqa: E731
    airflow.wait_until(over, "all jobs are over", seconds=800)
    report, tasks = airflow.task_log(dag_id, "report"), airflow.tasks(dag_id, "many")
    assert airflow.run_state(dag_id, "many") == "failed"
    told = re.findall(r"(table \d+) +(\w+) +([\d,-]+) +([\d,-]+) +([\d,-]+) +(yes|no|-)", report)
    expected = dict.fromkeys(many_jobs.values(), ("COMPLETED", "2,000", "2,000", "0", "yes"))
    expected["table 2"] = ("FAILED", "-", "-", "-", "-")
    expected["table 4"] = ("COMPLETED", "2,000", "500", "1,500", "no")
    assert {name: tuple(cells) for name, *cells in told} == expected, report
    assert f"{len(many_jobs)} in all: {len(many_jobs) - 1} COMPLETED, 1 FAILED" in report
    assert f"2 of {len(many_jobs)} jobs did not go well: table 2, table 4" in report
    states = {
        name: tasks[f"each.job.{name}"]["state"] for name in ("wait[2]", "result[2]", "wait[3]", "result[4]")
    }
    assert states == {
        "wait[2]": "failed", "result[2]": "upstream_failed", "wait[3]": "success", "result[4]": "failed"
    }  # fmt: skip
    wait = airflow.task_log(dag_id, "each.job.wait")
    assert "DataRecsRunFailed" in wait
    assert "clear 'each.job.trigger', at the map index of this run, and what follows" in wait
    if AIRFLOW_VERSION >= (2, 9):
        for task_id in ("each.job.trigger", "each.job.wait", "each.job.result"):
            shown = {
                task["rendered_map_index"] for name, task in tasks.items() if name.startswith(f"{task_id}[")
            }
            assert shown - {None} <= set(many_jobs.values())
        # All but that of the task which never ran.
        assert tasks["each.job.wait[2]"]["rendered_map_index"] == "table 2"
        assert tasks["each.job.result[3]"]["rendered_map_index"] == "table 3"


@pytest.mark.compat
def test_what_agrees_is_published(airflow):
    tasks = run_to_the_end(airflow, "reconcile_then_publish", "published")
    assert tasks == {"balances.trigger", "balances.wait", "balances.result", "publish"}
    assert "publishing 119988 balances" in airflow.task_log("reconcile_then_publish", "publish")


def test_what_is_reconciled_starts_the_dag_that_waits_for_it(airflow):
    run_to_the_end(airflow, "reconcile_then_publish", "published")
    run_id = airflow.scheduled_run("publish_when_reconciled")
    assert run_to_the_end(airflow, "publish_when_reconciled", run_id) == {"publish"}


def test_a_chat_and_a_mailbox_are_told_that_the_data_disagree(airflow):
    with Chat() as chat, Mailbox() as mailbox:
        airflow.add_connection("data_alerts", conn_type="http", password=chat.url)
        plain = {"disable_tls": True, "disable_ssl": True, "from_email": "airflow@example.com"}
        smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": mailbox.port, "extra": json.dumps(plain)}
        airflow.add_connection("smtp_default", **smtp)
        airflow.trigger_dag("alert_on_disagreement", "alerts")
        over = lambda: airflow.run_state("alert_on_disagreement", "alerts") in ("success", "failed")  # noqa: E731
        airflow.wait_until(over, "the data disagree")
        airflow.wait_until(lambda: chat.posted, "the chat is told")
        if importlib.util.find_spec("airflow.providers.smtp") is not None:  # Airflow 2.7 comes without it
            airflow.wait_until(lambda: mailbox.mails, "the mailbox is told")
    assert airflow.run_state("alert_on_disagreement", "alerts") == "failed"
    (posted,) = chat.posted
    assert posted["text"].startswith("*alert_on_disagreement: the data disagree*\nrows processed: 120000\n")
    assert all("rows unmatched: 12" in mail.get_body().get_content() for mail in mailbox.mails)


def test_a_day_is_loaded_before_it_is_reconciled(airflow, live_simulator):
    run_id = airflow.scheduled_run("reconcile_past_days")
    tasks = run_to_the_end(airflow, "reconcile_past_days", run_id)
    assert tasks == {"load", "balances.trigger", "balances.wait", "balances.result"}
    labels = {run.label or "" for run in live_simulator.world.runs[TargetKind.JOB]}
    (day,) = re.findall(r"loading the balances of ([\d-]+)", airflow.task_log("reconcile_past_days", "load"))
    assert f"balances of {day}" in labels


@pytest.mark.compat
def test_the_hook_serves_a_task_of_your_own(airflow):
    run_to_the_end(airflow, "reconcile_with_the_hook", "by-hand")
    jobs = airflow.xcom("reconcile_with_the_hook", "by-hand", "jobs_by_workspace", "return_value")
    assert jobs["Staging"] == ["daily-balance-check"]


@pytest.mark.compat
def test_no_task_log_has_an_error(airflow):
    for log in airflow.home.glob("logs/dag_id=*reconcile_*/**/*.log*"):
        assert "Traceback" not in log.read_text(errors="replace"), log


@pytest.mark.compat
def test_the_api_key_is_written_nowhere(airflow, live_simulator, postgres):
    api_key = live_simulator.world.api_keys[0].key
    files = [path for path in airflow.home.rglob("*") if path.is_file()]
    if postgres is None:
        assert any(path.name == "airflow.db" for path in files)
    else:
        _, _, name = airflow.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].rpartition("/")
        dump = postgres.dump(name)
        assert "119988" in dump  # which is in an XCom
        assert api_key not in dump
    assert [path for path in files if api_key.encode() in path.read_bytes()] == []
