"""Waits in the process of the task, for ``deferrable=False``."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from airflow_provider_datarecs.compat import KILLED_TASKS_GO_ON, AirflowSkipException
from airflow_provider_datarecs.polling import events

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.results import RunResult
    from airflow_provider_datarecs.hooks.datarecs import DataRecsHook
    from airflow_provider_datarecs.polling.client import BlockingPoller
    from airflow_provider_datarecs.polling.monitor import WaitMonitor


class WaitEnded(AirflowSkipException):
    """
    Carries the end of a wait out of Airflow's poke loop, which changes every exception but a skip.

    :param error: what the task is to end with
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class InProcessWait:
    """
    Wait by polling from the process of the task.

    :param hook: the hook on the task's connection
    :param monitor: judges what polls show
    :param ti: the task instance, None where the run is not to be cancelled with it
    """

    def __init__(self, hook: DataRecsHook, monitor: WaitMonitor, *, ti: Any = None) -> None:
        from airflow_provider_datarecs.polling import config  # here, since parsing a DAG needs none of it

        self._config = config.current()
        self._hook = hook
        self._monitor = monitor
        self._ti = ti
        self._poller: BlockingPoller | None = None

    def poll(self, interval: float | None) -> events.Event | None:
        """
        Poll once, and again where what was seen is to be confirmed soon; give the event that ends the wait.

        :param interval: seconds until the next poll, for the log; None where nobody knows
        """
        monitor = self._monitor
        next_poll = None if interval is None else (interval, interval)
        pause = monitor.pause
        if pause > 0 and monitor.left > 0:
            return None
        if pause > monitor.last_poll_within:
            return monitor.give_up()
        while True:
            time.sleep(pause)
            answer = self._open().send(monitor.ask, anew=monitor.doubts_the_connection)
            event = monitor.judge(answer, next_poll)
            if event is not None or monitor.again_in is None:
                return event
            pause = monitor.again_in

    @property
    def deadline(self) -> float:
        """The epoch seconds at which the wait ends."""
        return self._monitor.wait.deadline

    def _open(self) -> BlockingPoller:
        if self._poller is None:
            from airflow_provider_datarecs.polling.client import BlockingPoller

            self._poller = BlockingPoller(self._hook)
        return self._poller

    def timeout_message(self) -> str:
        """Say what is known where the task's ``execution_timeout`` ends the wait."""
        return self._monitor.timeout_message(events.EXECUTION_TIMEOUT)

    def nothing_ended(self) -> RunResult:
        """Give what is known of the run there, as ``run_result``."""
        wait = self._monitor.wait
        return events.nothing_ended(self._monitor.give_up(), wait.target, wait.run_id)

    def cancel_if_killed(self) -> None:
        """Cancel the run if a user has ended the task. Called as the task is killed; once is enough."""
        ti, self._ti = self._ti, None
        if ti is None:
            return
        # This comes as a signal in the midst of anything, be it a request or a talk with Airflow.
        thread = threading.Thread(target=self._cancel, args=(ti,), name="cancel-run")
        thread.start()
        if not KILLED_TASKS_GO_ON:
            thread.join(self._config.on_kill_within)

    def _cancel(self, ti: Any) -> None:
        from airflow_provider_datarecs.polling.kill import cancel_if_killed

        # In the process that is being killed there are but seconds.
        wait = self._monitor.wait
        asyncio.run(
            cancel_if_killed(
                wait.target,
                wait.run_id,
                conn_id=wait.conn_id,
                ti=ti,
                trigger_id=None,
                log=wait.log,
                within=self._config.cancel_in_process_within,
            )
        )
