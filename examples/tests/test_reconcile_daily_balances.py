from __future__ import annotations

import pytest
from airflow import __version__ as airflow_version
from airflow.models import DagBag

from airflow_provider_datarecs.simulator import Fault, Plan

AIRFLOW = tuple(int(part) for part in airflow_version.split(".")[:2])


@pytest.fixture
def dag():
    dag = DagBag().dags["reconcile_daily_balances"]
    wait = dag.get_task("wait")
    wait.poke_interval = 1  # second, for the DAG's 30
    wait.deferrable = AIRFLOW >= (2, 9)  # before, dag.test() runs no triggers: let the task itself wait
    return dag


def test_the_result_arrives(dag, datarecs_simulator):
    plan = Plan(polls=1, rows_matched=990, rows_unmatched=10)
    datarecs_simulator.world.plan_runs("job_daily_balance", plan)

    dag_run = dag.test()

    assert dag_run.state == "success"
    result = dag_run.get_task_instance("result").xcom_pull(task_ids="result", key="run_result")
    assert (result["status"], result["rows_matched"], result["rows_unmatched"]) == ("COMPLETED", 990, 10)


def test_a_job_that_fails_after_three_polls_fails_the_dag(dag, datarecs_simulator):
    plan = Plan(status="FAILED", polls=3, error="the ledger is locked")
    datarecs_simulator.world.plan_runs("job_daily_balance", plan)

    dag_run = dag.test()

    assert dag_run.state == "failed"
    states = {ti.task_id: ti.state for ti in dag_run.get_task_instances()}
    assert states == {"trigger": "success", "wait": "failed", "result": "upstream_failed"}


def test_429_for_a_while_is_survived_and_one_run_is_started(dag, datarecs_simulator):
    datarecs_simulator.world.plan_runs("job_daily_balance", Plan(polls=1))
    datarecs_simulator.faults.append(Fault(status=429, headers={"Retry-After": "1"}, times=None, seconds=3))

    dag_run = dag.test()

    assert dag_run.state == "success"
    assert 429 in [seen.status for seen in datarecs_simulator.requests]
    started = [seen.path for seen in datarecs_simulator.requests if seen.method == "POST"]
    assert started == ["/jobs/job_daily_balance/run"]
