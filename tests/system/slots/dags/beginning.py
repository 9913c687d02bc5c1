"""Waits that begin on the triggerer."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.datarecs.operators.trigger_job_run import TriggerJobRunOperator
from airflow.providers.datarecs.sensors.job_run import JobRunSensor
from airflow.providers.datarecs.task_groups.reconcile import reconcile
from airflow.sdk import DAG, Param, task

WAITS = {
    "neither": {"run_id": "{{ ti.xcom_pull(task_ids='trigger', key='run_id') }}", "end_from_trigger": True},
    "first": {"run_id": "{{ ti.xcom_pull(task_ids='trigger', key='run_id') }}"},
    "failed": {"run_id": "{{ dag_run.conf['failed'] }}", "end_from_trigger": True},
    "limited": {"run_id": "{{ dag_run.conf['long'] }}", "execution_timeout": timedelta(hours=2)},
    "mistaken": {"run_id": "{{ ti.xcom_pull(task_ids='ids')[0] }}"},
    "nothing": {"run_id": "{{ ti.xcom_pull(task_ids='trigger', key='no_such_key') }}"},
    "long": {"run_id": "{{ dag_run.conf['long'] }}", "end_from_trigger": True},
}


@task
def ids(dag_run):
    return [dag_run.conf["one"], dag_run.conf["two"]]


with DAG(
    dag_id="beginning",
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    default_args={"start_from_trigger": True, "poke_interval": 2, "conn_id": "with_console"},
):
    of_job = {"job_id": "ledger", "workspace_id": "ws_production"}
    trigger = TriggerJobRunOperator(task_id="trigger", **of_job)
    both = ids()
    for name, more in WAITS.items():
        [trigger, both] >> JobRunSensor(task_id=name, **of_job, **more)
    output = JobRunSensor(task_id="output", **of_job, run_id=trigger.output)
    mapped = JobRunSensor.partial(task_id="mapped", **of_job, end_from_trigger=True).expand(run_id=both)
    reconcile(group_id="group", **of_job, end_from_trigger=True)

with DAG(
    dag_id="needing",
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    params={"needed": Param(type="string"), "one": Param(""), "two": Param("")},
):
    more = {**of_job, "start_from_trigger": True, "end_from_trigger": True, "poke_interval": 2}
    JobRunSensor(task_id="plain", run_id="{{ params.one }}", **more)
    JobRunSensor.partial(task_id="mapped", **more).expand(run_id=["{{ params.one }}", "{{ params.two }}"])
