"""What users do to tasks, as Airflow's own pages do it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

from support.airflow import IS_AIRFLOW_3

if TYPE_CHECKING:
    from support.airflow import Airflow

ON_AIRFLOW_2 = """
import sys
from airflow.api.common.mark_tasks import set_dag_run_state_to_failed
from airflow.models.dagbag import DagBag
from airflow.utils.state import State

what, dag_id, task_id = sys.argv[1:]
dag = DagBag(read_dags_from_db=True).get_dag(dag_id)
if what == "clear":
    dag.clear(task_ids=[task_id])
elif what == "fail":
    set_dag_run_state_to_failed(dag=dag, run_id="run", commit=True)
else:
    dag.set_task_instance_state(task_id=task_id, run_id="run", state=what)
"""


class User:
    """
    Act on the DAG run ``run`` of a DAG.

    :param airflow: the Airflow
    :param dag_id: the DAG
    """

    def __init__(self, airflow: Airflow, dag_id: str) -> None:
        self._airflow = airflow
        self._dag_id = dag_id

    def mark(self, task_id: str, state: str) -> None:
        """Mark a task failed or success."""
        if IS_AIRFLOW_3:
            self._call("PATCH", f"dagRuns/run/taskInstances/{task_id}", {"new_state": state})
        else:
            self._run(state, task_id)

    def clear(self, task_id: str) -> None:
        """Clear a task."""
        if IS_AIRFLOW_3:
            body = {"dry_run": False, "dag_run_id": "run", "task_ids": [task_id], "only_failed": False}
            self._call("POST", "clearTaskInstances", body)
        else:
            self._run("clear", task_id)

    def fail_dag_run(self) -> None:
        """Mark the DAG run failed."""
        if IS_AIRFLOW_3:
            self._call("PATCH", "dagRuns/run", {"state": "failed"})
        else:
            self._run("fail", "")

    def _run(self, what: str, task_id: str) -> None:
        command = [sys.executable, "-c", ON_AIRFLOW_2, what, self._dag_id, task_id]
        subprocess.run(command, env=self._airflow.environ, check=True, capture_output=True)

    def _call(self, method: str, path: str, body: dict[str, Any]) -> None:
        url = f"http://127.0.0.1:{self._airflow.port}"
        with urllib.request.urlopen(f"{url}/auth/token") as answer:
            token = json.load(answer)["access_token"]
        request = urllib.request.Request(
            f"{url}/api/v2/dags/{self._dag_id}/{path}",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            method=method,
        )
        urllib.request.urlopen(request).close()
