"""However the pages of a list lead to each other, the walk over them ends."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_datarecs.api.client import DataRecsClient
from airflow_provider_datarecs.api.contract import TargetKind
from airflow_provider_datarecs.api.errors import EndlessList
from airflow_provider_datarecs.api.settings import ClientSettings
from airflow_provider_datarecs.api.targets import Target

MOST = 6
JOB = Target(TargetKind.JOB, "j1", "w1")
POINTERS = st.one_of(
    st.none(), st.tuples(st.sampled_from(["cursor", "relative", "whole"]), st.integers(0, MOST))
)
PAGES = st.lists(st.tuples(st.lists(st.sampled_from("abc"), max_size=2), POINTERS), min_size=1, max_size=MOST)


class Pages:
    """
    Serve pages that name each other as the next one.

    :param pages: the items on each, and how it names which one
    """

    def __init__(self, pages):
        self.pages = pages
        self.asked = []

    async def answer(self, request):
        self.asked.append(request.raw_path)
        number = int(request.query.get("cursor", 0)) % len(self.pages)
        names, pointer = self.pages[number]
        answer = {"items": [{"id": name} for name in names]}
        if pointer is not None:
            form, target = pointer
            url = request.rel_url.update_query(cursor=str(target))
            answer.update(
                {
                    "cursor": {"next_cursor": target},
                    "relative": {"next": str(url)},
                    "whole": {"next": str(request.url.join(url))},
                }[form]
            )
        return web.json_response(text=json.dumps(answer))  # fmt: skip

    async def walk(self, call):
        app = web.Application()
        app.router.add_get("/{rest:.*}", self.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            settings = ClientSettings.from_fields(host=url, api_key="k")
            async with DataRecsClient(settings, tls=None) as client:
                return await asyncio.wait_for(call(client), 20)
        finally:
            await runner.cleanup()


@given(PAGES)
def test_a_list_is_read_to_the_page_that_names_no_other_or_is_not_whole(pages):
    service = Pages(pages)
    try:
        items = asyncio.run(service.walk(lambda client: client.list_runs(JOB)))
    except EndlessList:
        items = None
    # Page 0 has two URLs: with its number, and without.
    assert len(service.asked) == len(set(service.asked)) <= MOST + 2
    shown = [pages[number_of(path, len(pages))] for path in service.asked]
    _, pointer = shown[-1]
    if items is None:
        assert pointer[1] in map(number_in, service.asked)
    else:
        assert pointer is None
        names = [name for page, _ in shown for name in page]
        assert [item["id"] for item in items] == list(dict.fromkeys(names))


@given(st.integers(1, MOST), st.sampled_from(["cursor", "relative", "whole"]))
def test_pages_in_a_row_are_all_read(count, form):
    last = count - 1
    pages = [([f"r{number}"], (form, number + 1) if number < last else None) for number in range(count)]
    service = Pages(pages)
    items = asyncio.run(service.walk(lambda client: client.list_runs(JOB)))
    assert [item["id"] for item in items] == [f"r{number}" for number in range(count)]


def number_in(path):
    return int(path.partition("cursor=")[2] or 0)


def number_of(path, count):
    return number_in(path) % count
