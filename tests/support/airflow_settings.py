"""How the Airflow of a rig is set up, all in environment variables."""

from __future__ import annotations

import base64
import os
import secrets
import sys
from pathlib import Path

from airflow import __version__ as airflow_version

IS_AIRFLOW_3 = airflow_version.startswith("3.")
# Where Airflow's database has them.
XCOMS, MAP_INDEX = "xcom", "map_index"
if tuple(map(int, airflow_version.split(".")[:2])) >= (3, 4):
    XCOMS, MAP_INDEX = "xcom_v2 join task_instance on task_instance.id = task_instance_id", "region_index"
# Seconds. A file that is new or has changed is parsed at once; the others need no parsing.
PARSED_AGAIN_AFTER = "120"


def environ_for(home: Path, dags: Path, port: int, log_port: int) -> dict[str, str]:
    """
    Give the environment variables of an Airflow in a folder of its own.

    :param home: the folder
    :param dags: the folder of its DAGs
    :param port: where its pages are
    :param log_port: where its triggerer serves logs, if it does
    """
    url = f"http://127.0.0.1:{port}"
    settings = {
        "CORE__DAGS_FOLDER": str(dags),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__PARALLELISM": "4",
        # Without one, 2.x keeps the passwords of connections as they are.
        "CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        # Airflow 2 serves them at the first, but looks for them at the second.
        "LOGGING__TRIGGER_LOG_SERVER_PORT": str(log_port),
        "LOGGING__TRIGGERER_LOG_SERVER_PORT": str(log_port),
        "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    }
    if IS_AIRFLOW_3:
        settings.update(
            {
                "API__PORT": str(port),
                "API__BASE_URL": url,
                "API__WORKERS": "1",
                "API_AUTH__JWT_SECRET": secrets.token_hex(32),
                "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
                "CORE__EXECUTOR": "LocalExecutor",
                "API__HOST": "127.0.0.1",
                "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
                # Within 5 s else: a busy machine starts tasks that hear nothing, and Airflow fails them.
                "WORKERS__EXECUTION_API_TIMEOUT": "60",
                "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
                "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": PARSED_AGAIN_AFTER,
            }
        )
    else:
        settings.update(
            {
                "CORE__EXECUTOR": "SequentialExecutor",
                "SCHEDULER__DAG_DIR_LIST_INTERVAL": "5",
                "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": PARSED_AGAIN_AFTER,
                "WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
                "WEBSERVER__WEB_SERVER_PORT": str(port),
                "WEBSERVER__WORKERS": "1",
            }
        )
    # The 2.x executors start tasks by the bare name of the command.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    return {
        **ours,
        "AIRFLOW_HOME": str(home),
        "PATH": path,
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
    }
