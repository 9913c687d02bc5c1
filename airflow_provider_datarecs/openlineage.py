"""The facets of a DataRecs run. Imports OpenLineage, so it is imported only where that asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional
from urllib.parse import urlsplit

import attr
from airflow.providers.openlineage.extractors import OperatorLineage

from airflow_provider_datarecs.mixins.lineage import REPORTED_FIELDS

if TYPE_CHECKING:
    from openlineage.client.facet_v2 import RunFacet
    from openlineage.client.generated.external_query_run import ExternalQueryRunFacet

    from airflow_provider_datarecs.api.results import RunResult
    from airflow_provider_datarecs.api.targets import Target
else:
    try:
        from openlineage.client.facet_v2 import RunFacet
        from openlineage.client.generated.external_query_run import ExternalQueryRunFacet
    except ImportError:  # before openlineage-python 1.17
        from openlineage.client.facet import BaseFacet as RunFacet
        from openlineage.client.facet import ExternalQueryRunFacet

EXTERNAL_QUERY = "externalQuery"  # the name that OpenLineage gives it
DATARECS_RUN = "datarecs_run"


@attr.define
class DataRecsRunFacet(RunFacet):
    """
    What is known of a run; what is None is left out of the event.

    Its fields are named like the XComs of the tasks and the fields of their ``run_result``.
    """

    run_id: str
    workspace_id: str
    job_id: Optional[str] = None
    job_group_id: Optional[str] = None
    status: Optional[str] = None
    rows_processed: Optional[int] = None
    rows_matched: Optional[int] = None
    rows_unmatched: Optional[int] = None
    started_at: Optional[str] = None
    completed_at: Optional[str] = None


def nothing() -> OperatorLineage[Any, Any]:
    """Give a lineage that adds nothing to the event."""
    return OperatorLineage()


def lineage_of(
    target: Target, run_id: str, result: RunResult | None, *, source: str
) -> OperatorLineage[Any, Any]:
    """
    Give the facets of a run; no data sets, since DataRecs does not tell which tables it has compared.

    :param target: the job or job group
    :param run_id: the run's id
    :param result: its ``run_result``, None as long as there is none
    :param source: the URL of the API
    """
    known: dict[str, Any] = {name: result.get(name) for name in REPORTED_FIELDS} if result else {}
    known[target.kind.id_field] = target.id
    facet = DataRecsRunFacet(run_id=run_id, workspace_id=target.workspace_id, **known)
    host = urlsplit(source).netloc.rpartition("@")[2]
    external = ExternalQueryRunFacet(externalQueryId=run_id, source=host)
    return OperatorLineage(run_facets={EXTERNAL_QUERY: external, DATARECS_RUN: facet})
