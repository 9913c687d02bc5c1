"""The proxy that the environment names for a host, as curl and Python's requests make it out."""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import sys
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import unquote

from airflow_provider_datarecs.api.errors import InvalidSettings
from airflow_provider_datarecs.api.urls import DEFAULT_PORTS, MAX_PORT, ascii_host

# Up to the first of /, ? and #, as in every URL; then what follows the last @.
_PROXY = re.compile(
    r"(?:(?P<credentials>[^/?#\\]*)@)?(?P<host>\[[^\]@/?#\\]*:[^\]@/?#\\]*\]|[^\[\]:@/?#\\]+)(?::(?P<port>\d{0,5}))?"
    r"(?:[/?#\\][^@]*)?"
)
_NO_PROXY = re.compile(r"(?P<host>\[[^\]]*\]|[^:]+)(?::(?P<port>\d+))?")


@dataclass(frozen=True)
class Proxy:
    """
    A proxy for HTTP.

    :param url: where it is, without user and password
    :param authorization: the header that lets this machine in, or None; in no repr
    """

    url: str
    authorization: str | None = field(default=None, repr=False)


def proxy_for(scheme: str, host: str, port: int | None) -> Proxy | None:
    """
    Give the proxy for the requests to a host, None where there is none.

    :param scheme: ``http`` or ``https``
    :param host: the host's name or address
    :param port: the port, None for the scheme's own
    :raises InvalidSettings: naming the variable, when it holds no proxy that a request can take
    """
    # aiohttp's own trust_env would read ~/.netrc for each request, and let it replace the API key.
    excluded = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if _is_excluded(excluded, host, port or DEFAULT_PORTS[scheme]):
        return None
    proxies = urllib.request.getproxies_environment()
    for name in (scheme, "all"):
        value = proxies.get(name, "").strip()
        if value:
            return _read(f"{name}_proxy", value, scheme)
    return None


def _read(variable: str, value: str, scheme: str) -> Proxy:
    own_scheme, separator, rest = value.partition("://")
    own_scheme, rest = (own_scheme.lower(), rest) if separator else ("http", value)
    if own_scheme not in DEFAULT_PORTS:
        raise InvalidSettings(
            f"the environment variable {variable} names a proxy that is neither http nor https; "
            "name another one, or put the API's host into no_proxy"
        )
    if own_scheme == scheme == "https" and sys.version_info < (3, 11):
        raise InvalidSettings(
            f"the environment variable {variable} names a proxy with https, through which Python before 3.11 "
            "reaches no host with https; name it with http if it takes that, or put the API's host into "
            "no_proxy"
        )
    try:
        return _parse(own_scheme, rest)
    except ValueError:
        # Not a word of the value, which may hold a password.
        raise InvalidSettings(
            f"the environment variable {variable} cannot be read as the URL of a proxy; write it like "
            "http://host:port or http://user:password@host:port, and characters such as / ? # @ : in user "
            "and password as %2F %3F %23 %40 %3A"
        ) from None


def _parse(scheme: str, text: str) -> Proxy:
    match = _PROXY.fullmatch(text)
    if not match:
        raise ValueError
    port = int(match["port"] or DEFAULT_PORTS[scheme])
    if not 0 < port <= MAX_PORT:
        raise ValueError
    url = f"{scheme}://{ascii_host(match['host'].strip('[]'))}:{port}"
    if not match["credentials"]:
        return Proxy(url)
    user, _, password = match["credentials"].partition(":")
    if ":" in unquote(user):  # no header can say where it ends
        raise ValueError
    login = f"{unquote(user)}:{unquote(password)}".encode()
    return Proxy(url, f"Basic {base64.b64encode(login).decode()}")


def _is_excluded(no_proxy: str, host: str, port: int) -> bool:
    if no_proxy.strip() == "*":
        return True
    return any(_covers(entry, host, port) for entry in re.split(r"[,\s]+", no_proxy.lower()) if entry)


def _covers(entry: str, host: str, port: int) -> bool:
    """Say whether an entry of ``no_proxy``, a network, address or domain, is about a host."""
    match = _NO_PROXY.fullmatch(entry)
    name, own_port = (match["host"].strip("[]"), match["port"]) if match else (entry, None)
    if own_port and int(own_port) != port:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        domain = name.strip(".")
        return bool(domain) and f".{host.rstrip('.')}".endswith(f".{domain}")
    try:
        return address in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False
