"""Starts a run anew that has FAILED, for a sensor with ``reruns``: each rerun once, whatever is lost."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Mapping, Sequence, cast

from airflow_provider_datarecs.api.contract import COMPLETED_AT, STARTED_AT
from airflow_provider_datarecs.api.times import epoch_seconds
from airflow_provider_datarecs.compat import CLEARS_ARE_COUNTED, AirflowException
from airflow_provider_datarecs.mixins.results import ResultMixin
from airflow_provider_datarecs.polling import events
from airflow_provider_datarecs.polling.reruns import due_at, has_failed, run_ids_of, xcoms_of

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.results import RunResult
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.compat import Context
    from airflow_provider_datarecs.hooks.datarecs import DataRecsHook

FORMULA = "datarecs:rerun:1"  # with another, the same rerun before an upgrade and after it has different keys


class RerunMixin(ResultMixin):
    """
    Start a run anew that has FAILED.

    :param reruns: how many times
    :param rerun_delay: seconds from the end of a run that FAILED to the start of the next one
    """

    reruns: int
    rerun_delay: Any
    run_id: str
    is_rescheduled = False  # this process is not the first of a wait in reschedule mode

    def rerun_due(
        self, target: Target, event: Any, deadline: float, *, seen_at: float | None
    ) -> float | None:
        """
        Give the epoch seconds at which the next run is to be started, None where it is not.

        :param target: the job or job group
        :param event: what the wait for the last run ended with
        :param deadline: epoch seconds at which the wait ends for all of its runs
        :param seen_at: epoch seconds at which the end was first seen, None where nobody knows
        """
        run_ids = run_ids_of(event, self.run_id)
        if len(run_ids) > self.reruns or not has_failed(event):
            return None
        if not events.is_about(event, target, run_ids[-1]):
            return None
        due = due_at(event, self.rerun_delay, seen_at)
        if max(due, time.time()) < deadline:
            return due
        self.log.warning("No rerun, since the time of this wait is over: %s", target.name_run(run_ids[-1]))
        return None

    def wait_until(self, due: float, name: str, *, holds_worker: bool) -> bool:
        """
        Let the delay pass, and say whether it has.

        :param due: epoch seconds at which the next run is to be started
        :param name: the run that FAILED, as messages name it
        :param holds_worker: whether to do so here
        """
        left = due - time.time()
        if left <= 0:
            return True
        self.log.info("FAILED, started anew in %s: %s", timedelta(seconds=round(left)), name)
        if holds_worker:
            time.sleep(left)
        return holds_worker

    def start_rerun(self, context: Context, target: Target, event: events.Event) -> list[str]:
        """
        Start the next run, or find the one that an earlier process has started, and give all runs so far.

        :param context: the task's context
        :param target: the job or job group
        :param event: that of the last run, which FAILED
        :raises DataRecsRunUncertain: when nobody can say whether it was started
        :raises AirflowException: when DataRecs refuses, or cannot be reached; nothing was started
        """
        run_ids, result = run_ids_of(event, self.run_id), event["result"]
        last = run_ids[-1]
        self.log.warning("%s", events.describe(result, target.name_run(last)))
        may_have_been_sent = self.is_rescheduled or context["ti"].try_number != 1 or not CLEARS_ARE_COUNTED
        try:
            run_id = _start_once(self.hook, target, run_ids, result, may_have_been_sent=may_have_been_sent)
        except AirflowException:
            self.push_run_ids(context, target, run_ids)
            self.push_result(context, cast("RunResult", {**result, **target.ids_of(last)}))
            raise
        name = target.name_run(run_id)
        self.log.info("Rerun %s of %s, after %r: %s", len(run_ids), self.reruns, last, name)
        run_ids.append(run_id)
        self.push_run_ids(context, target, run_ids)
        self.push_link(context, target, run_id)
        return run_ids

    def push_run_ids(self, context: Context, target: Target, run_ids: Sequence[str]) -> None:
        """
        Push the ids of the last run, and those of all runs, for the tasks that follow.

        :param context: the task's context
        :param target: the job or job group
        :param run_ids: the runs, the last one last
        """
        for key, value in xcoms_of(target, run_ids).items():
            context["ti"].xcom_push(key=key, value=value)


def _start_once(
    hook: DataRecsHook,
    target: Target,
    run_ids: Sequence[str],
    result: Mapping[str, Any],
    *,
    may_have_been_sent: bool,
) -> str:
    """
    Start the next run, or find the one that was started before, and give its id.

    Its key and its label come from nothing but the first run and the number of the rerun: the same for all
    tries, clears and processes of the task, so that each of them means the same run.

    :param hook: the hook on the task's connection
    :param target: the job or job group
    :param run_ids: the runs so far, which have FAILED
    :param result: the last one's
    :param may_have_been_sent: whether an earlier process may have sent it, so that the run history is read
        before it is
    :raises DataRecsRunUncertain: when nobody can say whether it was started
    :raises AirflowException: when DataRecs refuses, or cannot be reached; nothing was started
    """
    from airflow_provider_datarecs.api.start import StartRequest, start_once

    number, first = len(run_ids), run_ids[0]
    parts = (FORMULA, target.kind.noun, target.workspace_id, target.id, first, str(number))
    request = StartRequest(
        key=str(uuid.uuid5(uuid.NAMESPACE_URL, "\0".join(parts))),
        label=f"rerun {number} of {first}",
        is_label_unique=True,
        since=epoch_seconds(result.get(COMPLETED_AT)) or epoch_seconds(result.get(STARTED_AT)),
        not_these=frozenset(run_ids),
    )
    # How long ago, nobody says.
    sent_at = time.time() if may_have_been_sent else None
    return hook.call(lambda client: start_once(client, target, request, sent_at=sent_at, may_repeat=False))
