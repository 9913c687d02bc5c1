"""One part of an upgrade of Airflow, run by the Python of that Airflow: ``python -m support.upgrade``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from support.airflow import Airflow

DAG_ID = "waits"
JOBS = ("ends_meanwhile", "ends_after")
GOALS = {
    "before": dict.fromkeys(JOBS, "deferred"),
    "migrated": {"ends_meanwhile": "success"},
    "after": dict.fromkeys(JOBS, "success"),
}


def run_part(part: str, folder: Path, host: str, api_key: str, settings: dict[str, str]) -> None:
    """
    Run an Airflow until the waits are as they must be in a part of the upgrade.

    :param part: which, one of ``GOALS``
    :param folder: where its home and its DAGs are
    :param host: the URL of the DataRecs API
    :param api_key: the API key
    :param settings: environment variables
    """
    with Airflow(
        folder / "airflow", folder / "dags", host=host, api_key=api_key, environ=settings, say=print
    ) as airflow:
        if part == "before":
            airflow.trigger_dag(DAG_ID, "run")

        def waits() -> dict[str, str]:
            tasks = airflow.tasks(DAG_ID, "run")
            return {job_id: tasks.get(f"wait_{job_id}", {}).get("state") for job_id in JOBS}

        airflow.wait_until(lambda: GOALS[part].items() <= waits().items(), f"{part}: {GOALS[part]}")
        print(f"{part}: {waits()}, the DAG run is {airflow.run_state(DAG_ID, 'run')}", flush=True)


if __name__ == "__main__":
    name, place, url, key, environ = sys.argv[1:]
    run_part(name, Path(place), url, key, json.loads(environ))
