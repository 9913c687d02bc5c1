"""Reads the pages of a job's runs in turn with the polls of its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Awaitable, Callable, Dict, List

from airflow_provider_datarecs.api.errors import NeverArrived
from airflow_provider_datarecs.api.pages import too_long
from airflow_provider_datarecs.api.parsing import Page
from airflow_provider_datarecs.api.runs import Run, run_from
from airflow_provider_datarecs.api.times import epoch_seconds
from airflow_provider_datarecs.polling import config

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.client import DataRecsClient
    from airflow_provider_datarecs.api.targets import Target
    from airflow_provider_datarecs.polling.poller import Poller

RunsById = Dict[str, Run]


async def read_until(
    poller: Poller,
    target: Target,
    first: Page,
    is_enough: Callable[[RunsById], bool],
    *,
    or_fail: bool = False,
) -> RunsById:
    """
    Read pages, newest first, until one is enough, and give all runs on them.

    :param poller: sends the requests
    :param target: the job or job group
    :param first: the first page
    :param is_enough: says whether the runs of a page are
    :param or_fail: whether it is an error where none of those that are read at most is enough, default False
    :raises DataRecsError: when a page cannot be had, also because the connection has changed meanwhile
    """
    most = config.current().max_pages
    page, runs = first, runs_of(first, target)
    service = poller.service
    seen: List[RunsById] = [runs]
    while page.next_url is not None and not is_enough(runs):
        if len(seen) >= most:
            if or_fail:
                raise too_long(f"GET the runs of {target}", f"the runs of {target}", most)
            break
        answer = await ask_in_turn(
            poller, _get_page(target, page.next_url, lambda: poller.service == service)
        )
        if not isinstance(answer, Page):
            raise answer
        page, runs = answer, runs_of(answer, target)
        seen.append(runs)
    return {run.id: run for runs in seen for run in runs.values()}


async def ask_in_turn(poller: Poller, call: Callable[[DataRecsClient], Any]) -> Any:
    """
    Send a request that is no poll, and give what comes of it, which may be an error.

    :param poller: sends it when its turn comes
    :param call: what to do with the open client
    """
    return await poller.send_in_turn(call, config.current().max_sleep)


def _get_page(
    target: Target, url: str, is_same_service: Callable[[], bool]
) -> Callable[[DataRecsClient], Awaitable[Page]]:
    async def get_page(client: DataRecsClient) -> Page:
        # Asked as it is sent, which is after the connection was read anew where its key was refused.
        if not is_same_service():
            raise NeverArrived(
                f"GET the runs of {target}",
                "the connection has changed while they were read; they are read again from the first page",
            )
        return await client.runs_page(target, url)

    return get_page


def runs_of(page: Page, target: Target) -> RunsById:
    """
    Give the runs on a page.

    :param page: the page
    :param target: the job or job group
    """
    runs = (run_from(item, target) for item in page.items)
    return {run.id: run for run in runs if run is not None}


def is_newest_first(runs: RunsById) -> bool:
    """
    Say whether runs are in that order, by the first and the last of them: nearby ones may have begun in turn.

    :param runs: the runs, as they are listed
    """
    begun = [moment for moment in map(began_at, runs.values()) if moment < float("inf")]
    return not begun or begun[0] >= begun[-1]


def began_at(run: Run) -> float:
    """
    Give when a run began; one that ended without having begun, when it ended; infinity where nobody knows.

    :param run: the run
    """
    times = map(epoch_seconds, (run.result["started_at"], run.result["completed_at"]))
    return next((moment for moment in times if moment is not None), float("inf"))
