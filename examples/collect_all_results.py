"""Reconcile all jobs of a workspace, as found at run time, and tell of all of them whichever fails."""

from __future__ import annotations

from datetime import datetime

from airflow.exceptions import AirflowException
from airflow.providers.datarecs.operators.list_jobs import ListJobsOperator
from airflow.providers.datarecs.results import summarize
from airflow.providers.datarecs.task_groups.reconcile import reconcile

try:
    from airflow.sdk import DAG, task, task_group
except ImportError:  # Airflow 2
    from airflow.decorators import task, task_group
    from airflow.models.dag import DAG

# Airflow's pages show the job's name in place of a number. As a default argument, since Airflow before 2.9
# does not know it.
BY_NAME = {"map_index_template": "{{ ti.xcom_pull(task_ids='list_jobs', key='jobs')[ti.map_index]['name'] }}"}


def ids_of(job):
    return {"job_id": job["id"], "workspace_id": job["workspace_id"]}


with DAG(
    dag_id="collect_all_results",
    schedule=None,
    start_date=datetime(2024, 1, 1),
    catchup=False,
    params={"workspace_id": "ws_staging"},
):
    list_jobs = ListJobsOperator(task_id="list_jobs", workspace_id="{{ params.workspace_id }}")

    @task_group(default_args=BY_NAME)
    def each(job_id, workspace_id):
        reconcile(
            "job",
            job_id=job_id,
            workspace_id=workspace_id,
            max_unmatched_ratio=0.001,
            poke_interval=30,
            timeout=7200,
        )

    @task(trigger_rule="all_done")
    def report(ti=None):
        jobs = ti.xcom_pull(task_ids="list_jobs", key="jobs")
        waited, judged = (
            list(ti.xcom_pull(task_ids=f"each.job.{name}", key="run_result") or ())
            for name in ("wait", "result")
        )
        print(summarize([*waited, *judged], jobs))
        # A DAG run is judged by its last tasks, so that this one fails where any job did.
        good = {run["job_id"] for run in judged if run["agreed"]}
        bad = [job["name"] for job in jobs if job["id"] not in good]
        if bad:
            raise AirflowException(f"{len(bad)} of {len(jobs)} jobs did not go well: {', '.join(bad)}")

    each.expand_kwargs(list_jobs.output.map(ids_of)) >> report()
