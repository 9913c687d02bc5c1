"""Where the API is and how to be let in: a connection's fields, checked and made ready for requests."""

from __future__ import annotations

import ipaddress
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from airflow_provider_datarecs.api import contract, tls
from airflow_provider_datarecs.api.errors import InvalidSettings
from airflow_provider_datarecs.api.rate_limit import Limits

if TYPE_CHECKING:
    import ssl

MAX_PORT = 65535
# The last is what Airflow 2 sends for a ticked box when the form is tested.
TRUE_WORDS = frozenset({"true", "1", "yes", "on", "y"})


@dataclass(frozen=True)
class ClientSettings:
    """
    All that a client needs to know, as plain data: safe to hold on an event loop and to compare.

    :param base_url: the API's URL without a trailing slash
    :param api_key: the API key; in no repr
    :param tenant: the tenant's slug, or None
    :param proxy: the proxy's URL from the environment, or None; may hold a password, so in no repr
    :param limits: how much the waits on the connection may ask
    :param console_url: where users look at runs, as the connection has it, or None
    """

    base_url: str
    api_key: str = field(repr=False)
    tenant: str | None = None
    proxy: str | None = field(default=None, repr=False)
    limits: Limits = field(default_factory=Limits)
    console_url: str | None = None

    @classmethod
    def from_fields(
        cls,
        *,
        host: str | None,
        api_key: str | None,
        schema: str | None = None,
        port: int | None = None,
        extra: dict[str, Any] | None = None,
    ) -> ClientSettings:
        """
        Check a connection's fields and make settings of them.

        :param host: the API's URL, kept with its path; without a scheme it gets ``schema``, else https
        :param api_key: the API key
        :param schema: ``http`` or ``https``, used where the host has no scheme
        :param port: used where the host has no port
        :param extra: the connection's extra: ``tenant``, ``allow_insecure_http``, ``console_url`` and the
            fields of :class:`Limits` are read
        :raises InvalidSettings: naming the field, when one cannot be right
        """
        extra = extra or {}
        if not isinstance(extra, dict):
            raise InvalidSettings(f"Extra must be a JSON object, not {type(extra).__name__}")
        key = (api_key or "").strip()
        if not key:
            raise InvalidSettings(
                "API Key (the connection's password) is empty; paste the key from DataRecs there"
            )
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise InvalidSettings(
                "API Key (the connection's password) has a space or a character that no HTTP header can "
                "carry; paste it again, alone"
            )
        base_url = _base_url(host, schema, port)
        if base_url.startswith("http:") and not (
            _is_loopback(base_url) or _is_true(extra.get("allow_insecure_http"))
        ):
            raise InvalidSettings(
                f"Host {host!r} is plain http, so the API key would cross the network in the clear and is "
                "not sent; "
                'use https, or set "allow_insecure_http": true in the extra of the connection'
            )
        tenant = extra.get("tenant")
        if tenant is not None and not (isinstance(tenant, str) and tenant.isascii() and tenant.isprintable()):
            raise InvalidSettings(f'the extra "tenant" must be a slug of plain text, not {tenant!r}')
        return cls(
            base_url=base_url,
            api_key=key,
            tenant=tenant or None,
            proxy=_proxy_for(base_url),
            limits=Limits.from_extra(extra),
            # Checked where a link is made of it, since it is no reason to start or see no run.
            console_url=str(extra.get("console_url") or "").strip() or None,
        )

    def url(self, *segments: str) -> str:
        """Give the URL of a path, each segment of it quoted."""
        return "/".join((self.base_url, *(quote(segment, safe="") for segment in segments)))

    def headers(self) -> dict[str, str]:
        """Give the headers that every request carries."""
        headers = {contract.AUTH_HEADER: f"{contract.AUTH_SCHEME} {self.api_key}"}
        if self.tenant:
            headers[contract.TENANT_HEADER] = self.tenant
        return headers

    def tls(self) -> ssl.SSLContext | None:
        """Give the trusted certificates, for an API over https. Reads files: keep it off an event loop."""
        return tls.trusted() if self.base_url.startswith("https:") else None


def _base_url(host: str | None, schema: str | None, port: int | None) -> str:
    text = (host or "").strip()
    if not text:
        raise InvalidSettings(f"Host is empty; put the API's URL there, such as {contract.EXAMPLE_HOST}")
    if "://" not in text:
        text = f"{(schema or contract.DEFAULT_SCHEME).strip().lower()}://{text}"
    if "@" in text.partition("://")[2].partition("/")[0]:
        raise InvalidSettings("Host must not hold a user or password; the key goes into the field API Key")
    try:
        parts = urlsplit(text)
        hostname, own_port = parts.hostname, parts.port
        (hostname or "").encode("idna")  # as it will be looked up
    except ValueError as error:
        raise InvalidSettings(
            f"Host {host!r} is not a URL ({error}); it should look like {contract.EXAMPLE_HOST}"
        ) from None
    if parts.scheme not in ("http", "https"):
        raise InvalidSettings(
            f"Host {host!r} with Schema {schema!r} gives {parts.scheme!r}, which is neither http nor https; "
            f"put the whole URL with its path into Host, such as {contract.EXAMPLE_HOST}"
        )
    typo = hostname in (None, "", "http", "https")  # https:/api...
    if typo or parts.query or parts.fragment or any(character.isspace() for character in text):
        raise InvalidSettings(
            f"Host {host!r} is not the URL of an API; it should look like {contract.EXAMPLE_HOST}"
        )
    if port and not 0 < port <= MAX_PORT:
        raise InvalidSettings(f"Port {port} is no port; leave it empty, or give one from 1 to {MAX_PORT}")
    netloc = parts.netloc if own_port or not port else f"{parts.netloc.rstrip(':')}:{port}"
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", ""))


def _is_loopback(url: str) -> bool:
    hostname = urlsplit(url).hostname or ""
    if hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False


def _is_true(value: object) -> bool:
    return value is True or str(value).strip().lower() in TRUE_WORDS


def _proxy_for(url: str) -> str | None:
    # aiohttp's own trust_env would read ~/.netrc for each request, and let it replace the API key.
    parts = urlsplit(url)
    if _is_loopback(url):
        return None  # over http, the API key would leave this machine in the clear
    if urllib.request.proxy_bypass_environment(parts.hostname or ""):  # type: ignore[attr-defined]
        return None
    proxy = urllib.request.getproxies_environment().get(parts.scheme)
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    if proxy and urlsplit(proxy).scheme not in ("http", "https"):
        raise InvalidSettings(
            f"the environment variable {parts.scheme}_proxy names a proxy that is neither http nor https; "
            "name another one, or put the API's host into no_proxy"
        )
    return proxy
