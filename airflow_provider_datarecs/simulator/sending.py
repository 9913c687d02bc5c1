"""Sends answers that do not arrive as they should."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Iterator

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

    from airflow_provider_datarecs.simulator.faults import Fault

BLANKS = b" " * 65536


class SpoiltAnswer(web.StreamResponse):
    """
    An answer that is slow, padded or cut off, and the last one on its connection.

    :param answer: the answer as it should be
    :param fault: what becomes of it
    """

    def __init__(self, answer: web.StreamResponse, fault: Fault) -> None:
        super().__init__(status=answer.status, reason=answer.reason, headers=answer.headers)
        self.force_close()
        whole = getattr(answer, "body", None)
        self._whole = whole if isinstance(whole, bytes) else b""
        self._fault = fault

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send all there is to send, in place of what aiohttp would."""
        for piece in self._pieces():
            # Straight to the connection, with no care for what HTTP asks for.
            await request.writer.write(piece)
            if self._fault.slow:
                await asyncio.sleep(self._fault.slow)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Send nothing more."""

    def _pieces(self) -> Iterator[bytes]:
        fault, whole = self._fault, self._whole
        headers = {**self.headers, "Connection": "close"}
        headers.pop("Content-Length", None)
        if fault.padding >= 0:  # else the body lasts as long as the connection
            headers["Content-Length"] = str(len(whole) + fault.padding)
        yield f"HTTP/1.1 {self.status} {self.reason}\r\n".encode()
        yield "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n"
        if fault.drop == "half":
            yield whole[: len(whole) // 2]
            return
        yield whole
        left = fault.padding
        while left:
            piece = BLANKS[: 1 if fault.slow else left if left > 0 else None]
            yield piece
            left -= len(piece) if left > 0 else 0
