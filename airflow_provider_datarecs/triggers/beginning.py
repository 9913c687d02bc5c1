"""Begins a wait on the triggerer, with no worker."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, AsyncIterator, Mapping

from airflow.provider.datarecs.links.run import XCOM_KEY, DataRecsRunLink
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_datarecs.agreement import UnmatchedLimits
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.targets import Target, check_choice, check_id
from airflow_provider_datarecs.api.times import iso_utc
from airflow_provider_datarecs.choices import ON_UNMATCHED
from airflow_provider_datarecs.compat.task_starts import CannotBegin
from airflow_provider_datarecs.mixins.beginning import BACKSTOP, TRIGGER
from airflow_provider_datarecs.mixins.ending import tell_why_on_worker
from airflow_provider_datarecs.polling import config, events
from airflow_provider_datarecs.polling.trigger_log import LogMixin

if TYPE_CHECKING:
    from airflow_provider_datarecs.triggers.base import RunTrigger


class BeginningTrigger(LogMixin, BaseTrigger):
    """
    Render the templates of a task that no worker has begun, and be the trigger of its wait.

    What cannot be done, or is not sure, is left to a worker, which begins the task as any other. The
    arguments are stored with the DAG; each release of Airflow and of this provider stores them anew.

    :param airflow: the release of Airflow that has stored them
    :param kind: what is waited for, by its name in :class:`.TargetKind`
    :param fields: the task's template fields, not rendered
    :param timeout: seconds that the wait may take
    :param ending: how to end the task on the triggerer, but for its limits; None where a worker ends it
    :param why_not_ending: why a worker does in spite of ``end_from_trigger``, empty where it is not so
    :param wait: further arguments of the trigger of the wait
    """

    def __init__(
        self,
        *,
        airflow: str,
        kind: str,
        fields: Mapping[str, Any],
        timeout: float,
        ending: Mapping[str, Any] | None,
        why_not_ending: str,
        wait: Mapping[str, Any],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.airflow = airflow
        self.kind = kind
        self.fields = fields
        self.timeout = timeout
        self.ending = ending
        self.why_not_ending = why_not_ending
        self.wait = wait
        self._context: Mapping[str, Any] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class path and the arguments that make this trigger again; no secret is among them."""
        return TRIGGER, {
            "airflow": self.airflow,
            "kind": self.kind,
            "fields": self.fields,
            "timeout": self.timeout,
            "ending": self.ending,
            "why_not_ending": self.why_not_ending,
            "wait": self.wait,
        }

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:  # noqa: ARG002
        """
        Keep the context, since Airflow asks on the event loop, where a template that pulls an XCom hangs.

        :param context: the task's context
        :param jinja_env: not used
        """
        self._context = context

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Begin the wait, and fire what it ends with; or that a worker has to begin it."""
        try:
            # Not in the one thread that all triggers share, which what takes long would hold up.
            beginning = sync_to_async(self._begin, thread_sensitive=False)()
            trigger, name = await asyncio.wait_for(beginning, config.current().begin_within)
        except Exception as error:  # noqa: BLE001 - whatever it is, a worker begins the task as without all this
            # For the worker's log: Airflow loses what a trigger logs that ends at once. Not more than that of
            # any other exception, which may quote what a template came to.
            why = str(error) if isinstance(error, CannotBegin) else type(error).__name__
            yield TriggerEvent(events.not_begun(why))  # type: ignore[no-untyped-call]
            return
        self._tell(name, trigger.deadline)
        async for event in trigger.run():
            yield event

    def _tell(self, name: str, deadline: float) -> None:
        tell_why_on_worker(self.log, self.why_not_ending)
        self.log.info(
            "Waiting on the triggerer, without a worker, for %s, until %s at the latest (%s, its timeout)",
            name,
            iso_utc(deadline),
            timedelta(seconds=round(self.timeout)),
        )

    def _begin(self) -> tuple[RunTrigger, str]:
        """Do what a worker does before it defers, off the event loop."""
        from airflow_provider_datarecs.compat import task_starts
        from airflow_provider_datarecs.compat.task_ends import AIRFLOW_RELEASE, push_xcoms
        from airflow_provider_datarecs.hooks.datarecs import DataRecsHook

        ti: Any = self.task_instance
        ends_at: Any = getattr(self, "timeout_after", None)
        if self._context is None or ends_at is None or self.airflow != AIRFLOW_RELEASE:
            raise task_starts.CannotBegin("the task was stored by another Airflow, or is a test")
        if ti.try_number > 1:
            # Airflow lets the XComs and the end of the try before stand, unless a worker begins this one.
            raise task_starts.CannotBegin("it is a retry, or was cleared, which takes a worker")
        kind = TargetKind[self.kind]
        fields = task_starts.render(self, self.fields, self._context)
        limits = UnmatchedLimits.of(SimpleNamespace(**fields))
        check_choice("on_unmatched", fields["on_unmatched"], ON_UNMATCHED)
        run_id = check_id("run_id", fields["run_id"])
        target = Target(kind, fields[kind.id_field], fields["workspace_id"])
        hook = DataRecsHook(conn_id=fields["conn_id"])
        hook.get_settings()  # what cannot be right fails on a worker
        url = hook.run_url(target, run_id)
        task_starts.push_link(ti, DataRecsRunLink().xcom_key, url or "")
        if url:
            push_xcoms(ti, {XCOM_KEY: url})
        deadline = ends_at.timestamp() - BACKSTOP.total_seconds()
        trigger: RunTrigger = _trigger_class(kind)(
            **{kind.id_field: target.id},
            workspace_id=target.workspace_id,
            run_id=run_id,
            conn_id=hook.conn_id,
            since=deadline - self.timeout,
            deadline=deadline,
            ending=limits.add_to(dict(self.ending) if self.ending else None),
            **self.wait,
        )
        trigger.task_instance, trigger.trigger_id = ti, self.trigger_id
        trigger.was_deferred = False
        return trigger, target.name_run(run_id)


def _trigger_class(kind: TargetKind) -> Any:
    from airflow_provider_datarecs.triggers.job_group_run import JobGroupRunTrigger
    from airflow_provider_datarecs.triggers.job_run import JobRunTrigger

    return JobRunTrigger if kind is TargetKind.JOB else JobGroupRunTrigger
