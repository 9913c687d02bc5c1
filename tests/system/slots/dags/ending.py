"""Waits that end on the triggerer."""

from __future__ import annotations

from pathlib import Path

import pendulum
from airflow.decorators import task
from airflow.models.dag import DAG
from airflow.providers.datarecs.sensors.job_group_run import JobGroupRunSensor
from airflow.providers.datarecs.sensors.job_run import JobRunSensor

HERE = Path(__file__).parent


def note(name, context):
    with (HERE / f"{name}.txt").open("a") as lines:
        print(context["ti"].task_id, context["ti"].map_index, file=lines)


WAITS = {
    "here": {"max_unmatched_rows": 9},
    "as_before": {"max_unmatched_rows": 9, "end_from_trigger": False},
    "over": {"max_unmatched_rows": 6, "on_unmatched": "warn"},
    "failed": {},
    "reruns": {"reruns": 1},
    "callback": {"on_success_callback": lambda context: note("callbacks", context)},
}


@task
def after(result, ti):
    name = ti.task_id.partition("_")[2]
    return [result["status"], ti.xcom_pull(task_ids=name, key="run_result")["rows_unmatched"]]


@task
def ids(dag_run):
    return [dag_run.conf["first"], dag_run.conf["second"]]


@task
def all_of(results):
    return sorted(result["run_id"] for result in results)


with DAG(
    dag_id="ending",
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    default_args={"end_from_trigger": True, "poke_interval": 2},
):
    of_job = {"workspace_id": "ws_production", "pre_execute": lambda context: note("starts", context)}
    for name, more in WAITS.items():
        wait = JobRunSensor(
            task_id=name, job_id="stock", run_id="{{ dag_run.conf['" + name + "'] }}", **of_job, **more
        )
        after.override(task_id=f"after_{name}")(wait.output)
    group = JobGroupRunSensor(
        task_id="group", job_group_id="nightly", run_id="{{ dag_run.conf['group'] }}", **of_job
    )
    after.override(task_id="after_group")(group.output)
    mapped = JobRunSensor.partial(task_id="mapped", job_id="stock", **of_job).expand(run_id=ids())
    all_of(mapped.output)
