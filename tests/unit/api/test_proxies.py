"""Which proxy the environment names, and how it is let in."""

from __future__ import annotations

import asyncio
import base64
import sys

import pytest

from airflow_provider_datarecs.api.client import DataRecsClient
from airflow_provider_datarecs.api.errors import InvalidSettings, NeverArrived
from airflow_provider_datarecs.api.retry import ONE_POLL
from airflow_provider_datarecs.api.settings import ClientSettings


def settings_for(host="https://api.test", **fields):
    return ClientSettings.from_fields(host=host, api_key="demo-key", **fields)


@pytest.fixture
def environment(monkeypatch):
    """Set the environment's proxies; lower-case names count more, as everywhere."""

    def environment(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return environment


@pytest.mark.parametrize(
    ("variables", "host", "proxy"),
    [
        ({"https_proxy": "http://p:1"}, "https://api.test", "http://p:1"),
        ({"https_proxy": "p:1"}, "https://api.test", "http://p:1"),
        ({"https_proxy": " http://p:1/ "}, "https://api.test", "http://p:1"),
        ({"https_proxy": "http://p"}, "https://api.test", "http://p:80"),
        ({"https_proxy": "HTTP://P.Test:3128"}, "https://api.test", "http://p.test:3128"),
        ({"https_proxy": "http://[::1]:3128"}, "https://api.test", "http://[::1]:3128"),
        ({"HTTPS_PROXY": "http://p:1"}, "https://api.test", "http://p:1"),
        ({"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:2"}, "https://api.test", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "https://api.test", None),
        ({"all_proxy": "http://p:1"}, "https://api.test", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "https://api.test", "http://p:1"),
        ({"https_proxy": "http://p:1", "all_proxy": "http://q:2"}, "https://api.test", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "http://127.0.0.1:8790", None),
        ({"all_proxy": "http://p:1"}, "http://localhost:8790", None),
        ({"https_proxy": " "}, "https://api.test", None),
        ({"https_proxy": "socks5://p:1", "no_proxy": "api.test"}, "https://api.test", None),
    ],
)
def test_the_proxy_that_the_environment_names(environment, variables, host, proxy):
    environment(**variables)
    settings = settings_for(host)
    assert (settings.proxy.url if settings.proxy else None) == proxy


@pytest.mark.parametrize(
    ("no_proxy", "host", "is_excluded"),
    [
        ("*", "https://api.test", True),
        ("api.test", "https://api.test", True),
        ("API.Test", "https://api.test", True),
        ("test", "https://api.test", True),
        (".test", "https://api.test", True),
        (".api.test", "https://api.test", True),
        ("other.test, .test", "https://api.test", True),
        ("other.test", "https://api.test", False),
        ("pi.test", "https://zapi.test", False),
        ("*.test", "https://api.test", False),
        ("api.test:8443", "https://api.test:8443", True),
        ("api.test:8443", "https://api.test:8444", False),
        ("api.test:443", "https://api.test", True),
        ("10.0.0.5", "https://10.0.0.5", True),
        ("10.0.0.5:8443", "https://10.0.0.5:8443", True),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.0.0.0/8", "https://10.test", False),
        (".3", "https://10.1.2.3", False),
        ("::1, fd00::/8", "https://[fd00::5]", True),
        ("[fd00::5]", "https://[fd00::5]", True),
        ("[fd00::5]:8443", "https://[fd00::5]:8443", True),
        ("[fd00::5]:8443", "https://[fd00::5]", False),
        ("10.0.0.0/8", "https://[fd00::5]", False),
        ("", "https://api.test", False),
        (",", "https://api.test", False),
        ("10.0.0.0/99", "https://10.1.2.3", False),
    ],
)
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_what_the_environment_keeps_from_the_proxy(environment, name, no_proxy, host, is_excluded):
    environment(**{"https_proxy": "http://p:1", name: no_proxy})
    assert (settings_for(host).proxy is None) == is_excluded


@pytest.mark.parametrize(
    "no_proxy", ["*", "api.test", "test", ".test", "other.test", "api.test:8443", "10.0.0.0/8", "10.1.2.3"]
)
@pytest.mark.parametrize("host", ["https://api.test:8443", "https://10.1.2.3", "https://elsewhere.example"])
def test_it_is_what_requests_keeps_from_it(environment, no_proxy, host):
    utils = pytest.importorskip("requests.utils")
    environment(https_proxy="http://p:1", no_proxy=no_proxy)
    assert (settings_for(host).proxy is None) == utils.should_bypass_proxies(host, None)


def login_of(proxy):
    scheme, _, login = proxy.authorization.partition(" ")
    assert scheme == "Basic"
    return base64.b64decode(login).decode()


@pytest.mark.parametrize(
    ("written", "login"),
    [
        ("me:s3cret", "me:s3cret"),
        ("me:s3%23%2F%3F%5B", "me:s3#/?["),
        ("me:s3[cret", "me:s3[cret"),
        ("me:s3]:cr%3Aet", "me:s3]:cr:et"),
        ("me:s3@cret", "me:s3@cret"),
        ("me:sécret", "me:sécret"),
        ("me", "me:"),
    ],
)
def test_the_password_is_kept_apart(environment, written, login):
    environment(https_proxy=f"http://{written}@p:1")
    proxy = settings_for().proxy
    assert (proxy.url, login_of(proxy)) == ("http://p:1", login)


@pytest.mark.parametrize(
    "value",
    [
        "http://me:s3cret#x@p:1",
        "http://me:s3cret/x@p:1",
        "http://me:s3cret?x@p:1",
        "http://me:123#s3cret@p:1",
        "http://me:123/s3cret@p:1",
        "me:s3cret\\x@p:1",
        "http://me%3Ayou:s3cret@p:1",
        "http://me:s3cret@",
        "http://me:s3cret@p:port",
        "http://me:s3cret@p:0",
        "http://me:s3cret@p:99999",
        "http://me:s3cret@p p:1",
        "http://me:s3cret@[p]:1",
        "http://me:s3cret@[::1",
        "http://me:s3cret@p..q:1",
        "socks5://me:s3cret@p:1",
        "http//me:s3cret@p:1",
    ],
)
@pytest.mark.parametrize("name", ["https_proxy", "all_proxy"])
async def test_a_proxy_that_cannot_be_read_is_refused_by_the_variables_name(environment, name, value):
    environment(**{name: value})
    with pytest.raises(InvalidSettings, match=f"the environment variable {name} ") as caught:
        settings_for()
    error = caught.value
    while error is not None:
        assert "s3cret" not in f"{error} {error!r}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_a_proxy_with_https_leads_to_https_from_python_3_11_on(environment):
    environment(https_proxy="https://p:1", http_proxy="https://p:1")
    if sys.version_info >= (3, 11):
        assert settings_for().proxy.url == "https://p:1"
    else:
        with pytest.raises(InvalidSettings, match=r"https_proxy names a proxy with https, .* before 3\.11"):
            settings_for()
    assert settings_for("http://api.test", extra={"allow_insecure_http": True}).proxy.url == "https://p:1"


async def start(settings, job):
    async with DataRecsClient(settings, tls=settings.tls(), policy=ONE_POLL) as client:
        return await client.start_run(job, idempotency_key="start-1")


async def test_over_http_the_proxy_gets_its_password(server, environment, job):
    environment(http_proxy=server.url.replace("//", "//me:s3cret@"))
    settings = settings_for("http://datarecs.invalid", extra={"allow_insecure_http": True})
    await start(settings, job)
    (seen,) = server.requests
    assert seen.headers["Proxy-Authorization"] == settings.proxy.authorization
    assert seen.headers["Authorization"] == "Bearer demo-key"


async def test_over_https_the_proxy_gets_its_password_and_no_key(raw_server, environment, job):
    async with raw_server(b"HTTP/1.1 407 Go away\r\nContent-Length: 0\r\n\r\n") as proxy:
        environment(https_proxy=proxy.url.replace("//", "//me:s3%23cret@"))
        settings = settings_for("https://datarecs.invalid")
        with pytest.raises(NeverArrived, match=r"the proxy refuses a connection .*: 407 Go away") as caught:
            await start(settings, job)
    assert "s3" not in str(caught.value)
    (head,) = proxy.heads
    assert head.startswith("CONNECT datarecs.invalid:443 ")
    assert f"Proxy-Authorization: {settings.proxy.authorization}\r\n" in head
    assert "demo-key" not in head


async def test_a_proxy_that_is_not_there_never_got_the_request(environment, job):
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    environment(https_proxy=f"http://me:s3cret@127.0.0.1:{port}")
    settings = settings_for("https://datarecs.invalid")
    with pytest.raises(NeverArrived, match=r"no connection to https://datarecs\.invalid") as caught:
        await start(settings, job)
    error = caught.value
    while error is not None:
        for secret in ("s3cret", settings.proxy.authorization.partition(" ")[2]):
            assert secret not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__
