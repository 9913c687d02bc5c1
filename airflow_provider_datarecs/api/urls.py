"""Puts URLs together, and keeps the API key on the host it is for."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urljoin, urlsplit

from airflow_provider_datarecs.api import contract
from airflow_provider_datarecs.api.errors import InvalidSettings, UnreadableAnswer

if TYPE_CHECKING:
    from airflow_provider_datarecs.api.targets import Target

DEFAULT_PORTS = {"http": 80, "https": 443}
SYNTAX = ":/?#[]@!$&'()*+,;=%~"  # of URLs; what is none of it, a letter or a digit, is quoted where it is not
MAX_PORT = 65535
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")


def ascii_host(host: str) -> str:
    """
    Give the name or address of a host as a URL has it.

    :param host: without brackets around an IPv6 address
    :raises ValueError: when it can be neither
    """
    if ":" in host:
        address, _, zone = host.partition("%")
        if not re.fullmatch(r"[\w.-]*", zone, re.ASCII):
            raise ValueError(host)
        return f"[{ipaddress.IPv6Address(address)}{host[len(address) :]}]"
    name = host.lower().encode("idna").decode()
    if not _NAME.fullmatch(name):
        raise ValueError(name)
    return name


def with_query(url: str, query: dict[str, str]) -> str:
    """
    Give a URL with these parameters after those it has.

    :param url: the URL
    :param query: the parameters
    """
    if not query:
        return url
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query, quote_via=quote)}"


def console_link(console_url: str, target: Target, run_id: str) -> str:
    """
    Give the URL at which users look at a run.

    :param console_url: the console's, or a run's with placeholders
    :param target: the job or job group
    :param run_id: the run's id
    :raises InvalidSettings: when that makes no URL of a web page
    """
    link = console_url if "{" in console_url else f"{console_url.rstrip('/')}{contract.CONSOLE_RUN}"
    values = {
        contract.WORKSPACE_ID: target.workspace_id,
        "kind": target.kind.path,
        contract.ID: target.id,
        contract.RUN_ID: run_id,
    }
    for name, value in values.items():
        link = link.replace(f"{{{name}}}", quote(value, safe=""))
    try:
        parts = urlsplit(link)
        good = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good or any(character in "{}" or character.isspace() for character in link):
        placeholders = ", ".join(f"{{{name}}}" for name in values)
        raise InvalidSettings(
            f'the extra "console_url" is {console_url!r}, which is not the URL of a web page; give the '
            f"console's, or a run's in it, with no other placeholders than {placeholders}"
        )
    return link


def on_same_origin(url: str, next_url: str) -> str:
    """
    Give the whole URL of the next page of a list.

    :param url: the URL of this page
    :param next_url: what it names as the next, whole or relative
    :raises UnreadableAnswer: when that is on another host: stopping quietly would make a part of a list look
        like all of it
    """
    try:
        target = urljoin(url, quote(next_url, safe=SYNTAX))
        same = is_same_origin(target, url)
    except ValueError:
        same = False
    if not same:
        raise UnreadableAnswer(f"GET {urlsplit(url).path}", f"the next page is on another host: {next_url!r}")
    return target


def is_same_origin(url: str, other: str) -> bool:
    """
    Say whether two whole URLs lead to the same server.

    :param url: the one
    :param other: the other
    """
    return _origin(url) == _origin(other)


def _origin(url: str) -> tuple[str, str | None, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.username, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)
