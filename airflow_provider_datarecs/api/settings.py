"""Where the API is and how to be let in: a connection's fields, checked and made ready for requests."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Iterator, Mapping
from urllib.parse import quote, urlsplit, urlunsplit

from airflow_provider_datarecs.api import contract, tls
from airflow_provider_datarecs.api.errors import InvalidSettings
from airflow_provider_datarecs.api.proxies import Proxy, proxy_for
from airflow_provider_datarecs.api.rate_limit import RateLimitConfig
from airflow_provider_datarecs.api.similar import did_you_mean
from airflow_provider_datarecs.api.urls import DEFAULT_PORTS, MAX_PORT, ascii_host

if TYPE_CHECKING:
    import ssl

KEY = "API Key (the connection's password)"
# "y" is what Airflow 2 sends for a ticked box when the form is tested.
TRUE_WORDS = frozenset({"true", "1", "yes", "on", "y"})
FALSE_WORDS = frozenset({"false", "0", "no", "off", "n", "none", ""})
WEBHOOK_SECRET = "webhook_secret"  # noqa: S105 - its name
EXTRAS = (
    "tenant",
    "allow_insecure_http",
    "console_url",
    WEBHOOK_SECRET,
    *(one.name for one in fields(RateLimitConfig)),
)
# What Airflow before 2.3 put before their names, and Airflow 2 still does when the form is tested.
EXTRA_PREFIX = "extra__datarecs__"


@dataclass(frozen=True)
class ClientSettings:
    """
    All that a client needs to know, as plain data: safe to hold on an event loop and to compare.

    :param base_url: the API's URL without a trailing slash
    :param api_key: the API key; in no repr
    :param tenant: the tenant's slug, or None
    :param proxy: the proxy that the environment names for the API's host, or None
    :param rate_limit: how much the waits on the connection may ask
    :param console_url: where users look at runs, as the connection has it, or None
    :param notes: what of the connection has no effect, in words
    """

    base_url: str
    api_key: str = field(repr=False)
    tenant: str | None = None
    proxy: Proxy | None = None
    rate_limit: RateLimitConfig = field(default_factory=RateLimitConfig)
    console_url: str | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def from_fields(
        cls,
        *,
        host: Any,
        api_key: Any,
        schema: Any = None,
        port: Any = None,
        login: Any = None,
        extra: Any = None,
    ) -> ClientSettings:
        """
        Check a connection's fields, of whatever type they come in, and make settings of them.

        :param host: the API's URL, kept with its path; without a scheme it gets ``schema``, else https
        :param api_key: the API key
        :param schema: ``http`` or ``https``, for a host without a scheme
        :param port: for a host without a port
        :param login: must be empty, since DataRecs has no logins
        :param extra: the connection's extra, as a mapping or JSON: ``tenant``, ``allow_insecure_http``,
            ``console_url`` and the fields of :class:`RateLimitConfig` are read
        :raises InvalidSettings: naming the field, when one cannot be right
        """
        if _text("Login", login):
            raise InvalidSettings(
                f"Login is filled, and DataRecs knows no logins; leave it empty, and put the key into {KEY}"
            )
        key = _api_key(api_key)
        options = _extra(extra)
        base_url = _base_url(_text("Host", host), _text("Schema", schema).lower(), _port(port))
        is_insecure = base_url.startswith("http:") and not _is_loopback(base_url)
        if not _is_true(options, "allow_insecure_http") and is_insecure:
            raise InvalidSettings(
                f"Host {host!r} is plain http, so the API key would cross the network in the clear and is "
                'not sent; use https, or set "allow_insecure_http": true in the extra of the connection'
            )
        return cls(
            base_url=base_url,
            api_key=key,
            tenant=_tenant(options.get("tenant")),
            proxy=_proxy_for(base_url),
            rate_limit=RateLimitConfig.from_extra(options),
            # Checked where a link is made of it, since it is no reason to start or see no run.
            console_url=str(options.get("console_url") or "").strip() or None,
            notes=tuple(_notes(options)),
        )

    def url(self, *segments: str) -> str:
        """Give the URL of a path, each segment of it quoted."""
        return "/".join((self.base_url, *(quote(segment, safe="") for segment in segments)))

    def headers(self) -> dict[str, str]:
        """Give the headers that every request carries."""
        headers = {contract.AUTH_HEADER: f"{contract.AUTH_SCHEME} {self.api_key}"}
        if self.tenant:
            headers[contract.TENANT_HEADER] = self.tenant
        if self.base_url.startswith("http:"):
            headers.update(self.proxy_headers())  # over https, they would lead through the proxy to the API
        return headers

    def proxy_headers(self) -> dict[str, str]:
        """Give the headers that are for the proxy."""
        authorization = self.proxy.authorization if self.proxy else None
        return {"Proxy-Authorization": authorization} if authorization else {}

    def tls(self) -> ssl.SSLContext | None:
        """Give the trusted certificates, for an API over https. Reads files: keep it off an event loop."""
        return tls.trusted() if self.base_url.startswith("https:") else None


def webhook_secrets(extra: Any) -> tuple[str, ...]:
    """
    Give the secrets with which DataRecs signs events for a connection; no client needs to know them.

    :param extra: the connection's extra, as a mapping or JSON: ``webhook_secret`` is read, with commas
        between several
    :raises InvalidSettings: when it cannot be right
    """
    text = _text(f'the extra "{WEBHOOK_SECRET}"', _extra(extra).get(WEBHOOK_SECRET))
    return tuple(secret for secret in (part.strip() for part in text.split(",")) if secret)


def _text(name: str, value: Any) -> str:
    """Read a field as text, whatever type the store of the connection has for it."""
    try:
        text = value.decode() if isinstance(value, (bytes, bytearray)) else value
    except UnicodeDecodeError:
        text = value
    if text is None:
        return ""
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if not isinstance(text, str):
        raise InvalidSettings(f"{name} must be text, not {type(value).__name__}")  # which may be the key
    return text.strip()


def _api_key(value: Any) -> str:
    key = _text(KEY, value)
    if not key:
        raise InvalidSettings(f"{KEY} is empty; paste the key from DataRecs there")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InvalidSettings(
            f"{KEY} has a space or a character that no HTTP header can carry; paste it again, alone"
        )
    return key


def _tenant(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and value.isascii() and value.isprintable()):
        raise InvalidSettings(f'the extra "tenant" must be a slug of plain text, not {value!r}')
    return value or None


def _port(value: Any) -> int | None:
    is_whole = isinstance(value, float) and value.is_integer()
    text = _text("Port", int(value) if is_whole else value)
    if text in ("", "0"):  # the latter from Airflow 3.3's page, for none
        return None
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) <= MAX_PORT:
        raise InvalidSettings(f"Port {text!r} is no port; leave it empty, or give one from 1 to {MAX_PORT}")
    return int(text)


def _extra(value: Any) -> dict[str, Any]:
    try:
        extra = json.loads(value.strip() or "{}") if isinstance(value, (str, bytes)) else value
    except (ValueError, RecursionError):
        raise InvalidSettings("Extra must be a JSON object, not text of another kind") from None
    if extra is None:
        return {}
    if not isinstance(extra, Mapping):
        raise InvalidSettings(f"Extra must be a JSON object, not {type(extra).__name__}")
    prefixed = {str(name)[len(EXTRA_PREFIX) :]: extra[name] for name in extra if _is_prefixed(name)}
    return {**prefixed, **{str(name): extra[name] for name in extra if not _is_prefixed(name)}}


def _is_prefixed(name: Any) -> bool:
    return str(name).startswith(EXTRA_PREFIX)


def _notes(extra: Mapping[str, Any]) -> Iterator[str]:
    for name in extra:
        if name not in EXTRAS:
            meant = did_you_mean(name, EXTRAS) or f"; there are {', '.join(EXTRAS)}"
            yield f"the extra {name!r} means nothing to this provider{meant}"


def _base_url(host: str, schema: str, port: int | None) -> str:
    example = contract.EXAMPLE_HOST
    if not host:
        raise InvalidSettings(f"Host is empty; put the API's URL there, such as {example}")
    if "@" in host:
        raise InvalidSettings("Host must not hold a user or password; the key goes into the field API Key")
    if schema and schema not in DEFAULT_PORTS:
        raise InvalidSettings(
            f"Schema {schema!r} is neither http nor https; put the whole URL with its path into Host, such "
            f"as {example}, and leave Schema empty"
        )
    text = host if "://" in host else f"{schema or contract.DEFAULT_SCHEME}://{host}"
    no_url = InvalidSettings(f"Host {host!r} is not the URL of an API; it should look like {example}")
    try:
        parts = urlsplit(text)
        own_port, name = parts.port, ascii_host(parts.hostname or "")
    except ValueError:
        raise no_url from None
    if parts.scheme not in DEFAULT_PORTS:
        raise InvalidSettings(f"Host {host!r} is neither http nor https; it should look like {example}")
    typo = name in DEFAULT_PORTS or ("[" in parts.netloc) != ("[" in name)  # https:/api..., https://[api]
    if typo or parts.query or parts.fragment or " " in text or not text.isprintable():
        raise no_url
    if schema not in ("", parts.scheme):
        raise InvalidSettings(
            f"Host {host!r} and Schema {schema!r} contradict each other; leave Schema empty"
        )
    if None not in (port, own_port) and port != own_port:
        raise InvalidSettings(f"Host {host!r} and Port {port} contradict each other; leave Port empty")
    port = own_port or port
    path = quote(parts.path.rstrip("/"), safe="/%!$&'()*+,;=:~")
    return urlunsplit((parts.scheme, f"{name}:{port}" if port else name, path, "", ""))


def _is_loopback(url: str) -> bool:
    hostname = urlsplit(url).hostname or ""
    if hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False


def _is_true(extra: Mapping[str, Any], name: str) -> bool:
    word = str(extra.get(name)).strip().lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise InvalidSettings(f'the extra "{name}" must be true or false, not {extra[name]!r}')
    return word in TRUE_WORDS


def _proxy_for(url: str) -> Proxy | None:
    if _is_loopback(url):
        return None  # over http, the API key would leave this machine in the clear
    parts = urlsplit(url)
    return proxy_for(parts.scheme, parts.hostname or "", parts.port)
