"""
Post what no receiver may take: ``python junk.py RATE URL ...``, so many in a second to these URLs in turn.

At the end of the standard input it stops, and prints how often each status was answered, as JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
from collections import Counter

import aiohttp

SIGNATURE = "X-Datarecs-Signature"
AT_ONCE = 100


def requests(url: str) -> list[tuple[str, bytes, dict[str, str]]]:
    """Give one of each kind: an URL, a body and headers."""
    base = url.rpartition("/")[0]
    forged = {SIGNATURE: random.randbytes(32).hex()}
    return [
        (url, b"{}", {}),
        (url, json.dumps({"id": str(random.random())}).encode(), forged),
        (url, random.randbytes(2000), {SIGNATURE: "sha256=no"}),
        (url, b"x" * 70_000, forged),
        (f"{base}/nobody_{random.randrange(10**6)}", b"{}", forged),
    ]


async def main() -> None:
    rate, urls = float(sys.argv[1]), itertools.cycle(sys.argv[2:])
    answers: Counter[str] = Counter()
    loop, posting = asyncio.get_running_loop(), set()
    stopping = loop.run_in_executor(None, sys.stdin.read)
    connector = aiohttp.TCPConnector(limit=AT_ONCE)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(30)) as session:

        async def post(url: str, body: bytes, headers: dict[str, str]) -> None:
            try:
                async with session.post(url, data=body, headers=headers) as answer:
                    answers[str(answer.status)] += 1
            except (OSError, aiohttp.ClientError, asyncio.TimeoutError) as error:
                answers[type(error).__name__] += 1

        began = loop.time()
        for number in itertools.count():
            if stopping.done():
                break
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            task = asyncio.create_task(post(*random.choice(requests(next(urls)))))
            posting.add(task)
            task.add_done_callback(posting.discard)
        seconds = loop.time() - began
        await asyncio.gather(*posting)
    print(json.dumps({"seconds": seconds, "answers": answers}))


if __name__ == "__main__":
    asyncio.run(main())
