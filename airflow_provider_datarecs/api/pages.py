"""The pages of a list, by one rule: nothing but the absence of a next page is its end."""

from __future__ import annotations

from typing import Any, AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.errors import EndlessList
from airflow_provider_datarecs.api.parsing import Page, id_text
from airflow_provider_datarecs.api.urls import on_same_origin, with_query

UNKNOWN = "so it is unknown whether that is all of it"
MAX_PAGES = 500  # of a list: five minutes, at 100 requests a minute


async def iter_pages(
    request_page: Callable[[str], Awaitable[Page]], first: str, *, what: str, most: int
) -> AsyncIterator[Page]:
    """
    Give the pages of a list one after the other, to its end.

    :param request_page: requests the page at a URL; ``next_url`` of what it gives is whole
    :param first: the first page's URL
    :param what: the list, for messages
    :param most: how many pages to request
    :raises EndlessList: when there are more, or they lead in a circle
    """
    call = f"GET {urlsplit(first).path}"
    url: str | None = first
    seen: set[str] = set()
    while url is not None:
        if url in seen:
            raise EndlessList(call, f"page {len(seen)} of {what} names an earlier one as next, {UNKNOWN}")
        if len(seen) >= most:
            raise too_long(call, what, most)
        seen.add(url)
        page = await request_page(url)
        yield page
        url = page.next_url


def too_long(call: str, what: str, most: int) -> EndlessList:
    """
    Make the error of a list that was not read to its end.

    :param call: the request in short
    :param what: the list, for messages
    :param most: how many pages were read
    """
    return EndlessList(call, f"{what} still goes on after {most} pages, {UNKNOWN}")


def whole_next_url(first: str, url: str, page: Page) -> str | None:
    """
    Give the whole URL of the page after one, None where it names none.

    :param first: the URL of the list's first page
    :param url: the URL of this page
    :param page: what it holds
    :raises UnreadableAnswer: when the next one is on another host
    """
    if page.cursor is not None:
        return with_query(first, {contract.CURSOR: page.cursor})
    return None if page.next_url is None else on_same_origin(url, page.next_url)


def each_once(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Give what a list holds, each item as it was first shown; what moves while it is read is on it twice.

    :param items: the items of all pages; those without an id are all taken for different ones
    """
    kept: dict[Any, dict[str, Any]] = {}
    for place, item in enumerate(items):
        item_id = id_text(item.get(contract.ID)) or id_text(item.get(contract.RUN_ID))
        kept.setdefault((id_text(item.get(contract.WORKSPACE_ID)), item_id) if item_id else place, item)
    return list(kept.values())
