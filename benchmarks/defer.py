"""
Defer the tasks of a DAG run by Airflow's own code, as a worker does that runs them.

A process for each of a thousand tasks would take the machine for half an hour, before anything is measured.
It runs in Airflow's environment: ``python defer.py DAG_ID RUN_ID TRIGGER``, with the path of the triggers'
class, and with the arguments of each task's trigger on the standard input, as JSON, in the order of the map
indexes.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState

from airflow_provider_datarecs.compat import AIRFLOW_VERSION

if AIRFLOW_VERSION >= (3, 1):
    from airflow.sdk.timezone import utcnow
else:
    from airflow.utils.timezone import utcnow


def main() -> None:
    dag_id, run_id, path = sys.argv[1:]
    module, _, name = path.rpartition(".")
    trigger = getattr(import_module(module), name)
    arguments = json.load(sys.stdin)
    # Before the session, which on 2.x is that of whatever else opens one meanwhile, and closes it.
    triggers = [Trigger.from_object(trigger(**one)) for one in arguments]
    with create_session() as session:
        tasks = session.query(TaskInstance).filter_by(dag_id=dag_id, run_id=run_id).all()
        if sorted(task.map_index for task in tasks) != list(range(len(arguments))):
            sys.exit(f"run {run_id} of {dag_id} has {len(tasks)} tasks, not {len(arguments)}")
        session.add_all(triggers)
        session.flush()
        for task in tasks:
            task.state = TaskInstanceState.DEFERRED
            task.trigger_id = triggers[task.map_index].id
            task.next_method, task.next_kwargs = "execute_complete", {}
            task.start_date, task.try_number = utcnow(), 1


if __name__ == "__main__":
    main()
