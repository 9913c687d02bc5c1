"""What all DataRecs operators share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.provider.datarecs.links.run import DataRecsRunLink

from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.targets import check_choice
from airflow_provider_datarecs.choices import FAIL, ON_UNCERTAIN, RETRY
from airflow_provider_datarecs.compat import AirflowException, BaseOperator
from airflow_provider_datarecs.exceptions import DataRecsRunUncertain, as_airflow_exceptions, told_once
from airflow_provider_datarecs.mixins.arguments import ArgumentsMixin
from airflow_provider_datarecs.mixins.hook import HookMixin
from airflow_provider_datarecs.mixins.lineage import LineageMixin
from airflow_provider_datarecs.mixins.results import check_limits_ahead
from airflow_provider_datarecs.operators.start_state import StartState, Try
from airflow_provider_datarecs.provider_info import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.start import StartRequest
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.compat import Context
    from airflow_provider_datarecs.mixins.results import ResultMixin

LABEL_PART = 60  # characters of a DAG's or task's id that go into a label


class DataRecsOperator(ArgumentsMixin, HookMixin, BaseOperator):
    """
    Hold the connection of an operator.

    :param conn_id: the DataRecs connection (templated), default ``datarecs_default``
    """

    def __init__(self, *, conn_id: str = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id


class StartRunOperator(LineageMixin, DataRecsOperator):
    """
    Start a run and push its ids: one run for all tries of a task instance, whatever is lost on the way.

    :param run_label: a label for the run (templated), default none
    :param unique_label: the run's label is that of no other task instance, so that a run can be told by it.
        Default False; True sends a label of the provider's making where ``run_label`` is not given
    :param on_uncertain: what to do where nobody can say whether a run was started: ``fail`` (default),
        without Airflow's retries, or ``retry``, which sends the request again
    """

    kind: ClassVar[TargetKind] = TargetKind.JOB
    starts_runs: ClassVar[bool] = True
    operator_extra_links = (DataRecsRunLink(),)
    _judged_by: str | None = None

    def __init__(
        self,
        *,
        run_label: str | None = None,
        unique_label: bool = False,
        on_uncertain: str = FAIL,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_label = run_label
        self.unique_label = unique_label
        self.on_uncertain = on_uncertain

    def check_limits_of(self, result: ResultMixin) -> None:
        """
        Have this task check, before it starts a run, the limits that the run's result is held against.

        :param result: the task of the same DAG that has them
        """
        self._judged_by = result.task_id

    @property
    def ids(self) -> dict[str, Any]:
        """The run's ids, as XComs to make a sensor with: ``JobRunSensor(task_id="wait", **trigger.ids)``."""
        output: Any = self.output
        return {key: output[key] for key in (self.kind.id_field, "workspace_id", "run_id")}

    @told_once
    def execute(self, context: Context) -> str:
        """
        Start the run, push its ids as XComs and return its id.

        :param context: the task's context
        """
        with as_airflow_exceptions(self.conn_id):
            check_choice("on_uncertain", self.on_uncertain, ON_UNCERTAIN)
        start_state = StartState(context, Try(context, self.retries or 0))
        request = self._start_request(context, start_state.key)
        ids = start_state.ids
        is_new = not ids
        if not ids:
            if self._judged_by:
                check_limits_ahead(self.dag.get_task(self._judged_by), context)
            ids = self._start(request, start_state)
            start_state.keep(ids)
        target = self.hook.target(self.kind, ids[self.kind.id_field], ids["workspace_id"])
        if not is_new:
            self.log.info("Started by an earlier try of this task: %s", target.name_run(ids["run_id"]))
        for key, value in {**ids, **self._more_xcoms(ids)}.items():
            context["ti"].xcom_push(key=key, value=value)
        self.push_link(context, target, ids["run_id"])
        self.note_run(target, ids["run_id"])
        return ids["run_id"]

    def _start(self, request: StartRequest, start_state: StartState) -> dict[str, str]:
        from airflow_provider_datarecs.api.start import start_once

        sent_at = start_state.sent_at
        try:
            target = self._find()
            run_id = self.hook.call(
                lambda client: start_once(
                    client,
                    target,
                    request,
                    sent_at=sent_at,
                    may_repeat=self.on_uncertain == RETRY,
                    before_send=start_state.note_sent,
                )
            )
        except DataRecsRunUncertain:
            raise
        except AirflowException:
            if sent_at is None:  # else an earlier try may have started one
                start_state.forget()
            raise
        return target.ids_of(run_id)

    def _find(self) -> Target:
        """Give the job or job group to run."""
        raise NotImplementedError

    def _more_xcoms(self, ids: dict[str, str]) -> dict[str, Any]:  # noqa: ARG002 - which some need
        """Give what else is pushed, beside a run's ids."""
        return {}

    def _start_request(self, context: Context, key: str) -> StartRequest:
        from airflow_provider_datarecs.api.start import StartRequest

        ti: Any = context["ti"]
        label = self.run_label
        if label not in (None, ""):
            label = self.hook.check_text("run_label", label)
        elif self.unique_label:
            label = f"{ti.dag_id[:LABEL_PART]}.{ti.task_id[:LABEL_PART]} {key}"
        started: Any = getattr(context.get("dag_run"), "start_date", None)
        return StartRequest(
            key=key,
            label=label or None,
            is_label_unique=self.unique_label,
            since=started.timestamp() if started else None,
        )
