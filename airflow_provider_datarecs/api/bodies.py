"""Turns the body of an answer into what Airflow can store and pass on, whatever it is."""

from __future__ import annotations

import json
import math
import zlib
from codecs import BOM_UTF8
from typing import Any

MAX_ANSWER = 16 * 1024 * 1024  # bytes; a page of any list is far below, and a triggerer must survive anything
ASKED_ENCODING = "gzip"
GZIP = 16 + zlib.MAX_WBITS  # what zlib calls it
SHOWN = 200  # characters of an unreadable body or an odd value that go into a message
LOOKED_AT = 4000  # bytes of such a body, which may have many blanks
DIGITS = 20  # of an integer of 64 bits, with its sign


def decoded(encoding: str, body: bytes) -> tuple[bytes, str]:
    """
    Give a body as it was before it was compressed, or say why that is not to be had.

    :param encoding: what the answer's header says of it
    :param body: the body as it came
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity") or not body:
        return body, ""
    if encoding != ASKED_ENCODING:
        return b"", f"is in the encoding {encoding[:SHOWN]!r}, which was not asked for"
    whole = bytearray()
    try:
        while body:
            member = zlib.decompressobj(GZIP)
            whole += member.decompress(body, MAX_ANSWER + 1 - len(whole))
            if len(whole) > MAX_ANSWER:
                return b"", f"is larger than {MAX_ANSWER} bytes"
            if not member.eof:
                return b"", "ends too early"
            body = member.unused_data
    except zlib.error as error:
        return b"", f"says that it is {ASKED_ENCODING}, and is not ({error})"
    return bytes(whole), ""


def loads(body: bytes) -> Any:
    """
    Read JSON; what Airflow could not store or pass on becomes what it can.

    :param body: the JSON
    :raises ValueError: when it is none
    :raises RecursionError: when it is nested too deeply
    """
    # Not as utf-8-sig, which Python loads from a file when it first meets it: on the event loop.
    text = body[len(BOM_UTF8) if body.startswith(BOM_UTF8) else 0 :].decode("utf-8", "surrogatepass")
    answer = _decoder.decode(text)
    # A half of a pair, as of an emoji that was cut in two, cannot be written as UTF-8; it comes as an escape,
    # or as bytes, of which ED is the first.
    return whole_characters(answer) if rb"\ud" in body.lower() or b"\xed" in body else answer


def _int(text: str) -> int | str:
    if len(text) > DIGITS:  # which Python may refuse to read
        return text
    number = int(text)
    return number if -(2**63) <= number < 2**63 else text


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


_decoder = json.JSONDecoder(
    # Without a function to call for each object, other threads would have to wait until all is read.
    object_hook=lambda item: item,
    parse_int=_int,
    parse_float=_finite,
    parse_constant=lambda _: None,
)


def whole_characters(value: Any) -> Any:
    """
    Give a JSON value without halves of characters, which cannot be written as UTF-8.

    :param value: the value
    """
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [whole_characters(entry) for entry in value]
    if isinstance(value, dict):
        return {whole_characters(key): whole_characters(entry) for key, entry in value.items()}
    return value


def shown(value: Any) -> str:
    """
    Give the start of a body or a JSON value, of which no more is looked at than it takes.

    :param value: a body as bytes, or what JSON holds
    """
    if isinstance(value, bytes):
        text, is_cut = value.strip()[:LOOKED_AT].decode("utf-8", "replace"), len(value) > LOOKED_AT
    else:
        text, is_cut = "", False
        for piece in json.JSONEncoder().iterencode(value):
            text += piece
            if len(text) > SHOWN:
                break
    text = " ".join(text.split())
    is_cut = is_cut or len(text) > SHOWN
    return repr(f"{text[:SHOWN]}…" if is_cut else text) if text else "empty"
