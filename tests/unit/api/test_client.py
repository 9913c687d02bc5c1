"""The network below the calls: what cannot be reached, does not answer, or answers with rubbish."""

from __future__ import annotations

import asyncio
import datetime
import gc
import gzip
import ipaddress
import socket
import ssl
import threading
import warnings
from contextlib import suppress
from dataclasses import replace

import aiohttp
import pytest

from airflow_provider_datarecs.api import client as client_module
from airflow_provider_datarecs.api import errors, transport
from airflow_provider_datarecs.api.client import DataRecsClient
from airflow_provider_datarecs.api.retry import ONE_POLL
from airflow_provider_datarecs.api.runs import read_run
from airflow_provider_datarecs.api.settings import ClientSettings
from airflow_provider_datarecs.simulator import Fault, Simulator

INSECURE = {"allow_insecure_http": True}


def ok(body=b'{"items": []}', **headers):
    length = str(len(body))
    head = {"Content-Type": "application/json", "Content-Length": length, "Connection": "close", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in head.items())
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + body


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(ok(b'{"items": [', Content_Length="500"), errors.MaybeArrived, id="half a body"),
        pytest.param(
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"ite',
            errors.MaybeArrived,
            id="half a chunk",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-", errors.MaybeArrived, id="half a head"),
        pytest.param(b"", errors.MaybeArrived, id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", errors.MaybeArrived, id="another protocol"),
        pytest.param(b"\x00\xff" * 50, errors.MaybeArrived, id="rubbish"),
        pytest.param(ok(Content_Encoding="gzip"), errors.UnreadableAnswer, id="no gzip in spite of its name"),
        pytest.param(ok(Content_Encoding="br"), errors.UnreadableAnswer, id="an encoding of its own choice"),
        pytest.param(ok(X="x" * 500_000), errors.MaybeArrived, id="an endless header"),
    ],
)
async def test_rubbish_for_an_answer(raw_server, open_client, job, answer, kind):
    async with raw_server(answer) as server, open_client(server.url, policy=ONE_POLL) as client:
        with pytest.raises(errors.MaybeArrived) as caught:
            await client.list_workspaces()
        server.heads.clear()
        with pytest.raises(errors.RunMayHaveStarted):
            await client.start_run(job, idempotency_key="start-1")
    assert type(caught.value) is kind
    assert "demo-key" not in str(caught.value)
    assert [head.split()[0] for head in server.heads] == ["POST"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ok(X="x" * 9_000), id="more than 8190 bytes"),
        pytest.param(ok(X="x" * 200_000), id="a huge header"),
        pytest.param(ok(**{f"X{number}": "x" * 100 for number in range(500)}), id="many headers"),
        pytest.param(ok().replace(b"OK", b"O" * 20_000, 1), id="a long reason"),
    ],
)
async def test_what_gateways_add_to_an_answer_does_no_harm(raw_server, open_client, answer):
    async with raw_server(answer) as server, open_client(server.url, policy=ONE_POLL) as client:
        assert await client.list_workspaces() == []


async def test_an_answer_may_be_compressed_in_the_way_that_is_asked_for(raw_server, open_client):
    answer = ok(gzip.compress(b'{"items": [{"id": "w1"}]}'), Content_Encoding="gzip")
    async with raw_server(answer) as server, open_client(server.url) as client:
        assert await client.list_workspaces() == [{"id": "w1"}]
    assert "Accept-Encoding: gzip\r\n" in server.heads[0]


@pytest.mark.parametrize(
    ("answer", "on_the_loop"),
    [
        (ok(b'{"id": "r1"}'), True),
        (ok(b'{"id": "r1"}' + b" " * 100_000), False),
        (ok(gzip.compress(b'{"id": "r1"}'), Content_Encoding="gzip"), False),
    ],
    ids=["small", "large", "compressed"],
)
async def test_what_takes_time_to_read_is_not_read_on_the_loop(
    raw_server, open_client, job, monkeypatch, answer, on_the_loop
):
    readers = []

    def read(*arguments):
        readers.append(threading.get_ident())
        return read_run(*arguments)

    monkeypatch.setattr(client_module, "read_run", read)
    async with raw_server(answer) as server, open_client(server.url) as client:
        assert (await client.get_run(job, "r1")).id == "r1"
    assert [reader == threading.get_ident() for reader in readers] == [on_the_loop]


SURPRISES = [RuntimeError("the handler is closed"), ValueError("odd"), UnicodeError("too long"), KeyError(1)]


@pytest.mark.parametrize("surprise", SURPRISES, ids=repr)
async def test_no_error_of_a_library_gets_out_before_a_request_is_sent(
    server, client, job, monkeypatch, caplog, surprise
):
    async def fail(*_args, **_more):
        raise surprise

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", fail)
    named = f"no connection to .*{type(surprise).__name__}: "
    with pytest.raises(errors.NeverArrived, match=named) as caught:
        await client.start_run(job, idempotency_key="start-1")
    assert caught.value.__cause__ is surprise
    assert server.requests == []
    assert caplog.text.count("Traceback") == 1


@pytest.mark.parametrize("surprise", SURPRISES, ids=repr)
async def test_no_error_of_a_library_gets_out_after_a_request_is_sent(
    client, job, monkeypatch, caplog, surprise
):
    async def fail(*_args, **_more):
        raise surprise

    monkeypatch.setattr(aiohttp.ClientResponse, "start", fail)
    with pytest.raises(errors.MaybeArrived, match=f"no answer from .*{type(surprise).__name__}: "):
        await client.get_run(job, "r1")
    with pytest.raises(errors.RunMayHaveStarted) as caught:
        await client.start_run(job, idempotency_key="start-1")
    assert type(caught.value.why) is errors.MaybeArrived
    assert caplog.text.count("Traceback") == 1  # however often it happens


@pytest.mark.parametrize("size", [1, 100_000])
async def test_a_mistake_in_reading_an_answer_is_an_answer_that_cannot_be_read(
    server, open_client, job, monkeypatch, size
):
    def fail(*_args):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(client_module, "read_run", fail)
    server.faults.append(Fault(times=None, status=200, body='{"id": "r1"}' + " " * size))
    async with open_client(server.url, policy=ONE_POLL) as client:
        with pytest.raises(errors.UnreadableAnswer, match="cannot be read: ZeroDivisionError: oops"):
            await client.get_run(job, "r1")


@pytest.mark.parametrize("key", ["start\n1", "start\r\nX-More: 1", "w\x00"])
async def test_a_key_that_no_header_can_carry_is_refused_before_anything_is_sent(server, client, job, key):
    with pytest.raises(errors.InvalidInput, match="idempotency_key"):
        await client.start_run(job, idempotency_key=key)
    assert server.requests == []


@pytest.mark.parametrize("text", ["\ud83d", "a\udc00b"])
async def test_half_a_character_is_refused_before_anything_is_sent(server, client, job, text):
    with pytest.raises(errors.InvalidInput, match="workspace_id"):
        await client.list_jobs(text)
    with pytest.raises(errors.InvalidInput, match="run_label"):
        await client.start_run(job, idempotency_key="start-1", run_label=text)
    assert server.requests == []


async def test_a_host_that_cannot_be_looked_up_never_arrived(open_client, job):
    async with open_client("http://datarecs.invalid", extra=INSECURE, policy=ONE_POLL) as client:
        client.settings = replace(client.settings, base_url=f"http://{'x' * 70}.invalid")
        with pytest.raises(errors.NeverArrived, match="no connection to"):
            await client.start_run(job, idempotency_key="start-1")


async def test_a_connection_that_is_waited_for_too_long_never_arrived(open_client, job, monkeypatch):
    monkeypatch.setattr(transport, "REQUEST_TIMEOUT", 0.05)
    never = asyncio.get_running_loop().create_future()

    async def connect(*_args, **_more):
        await never

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", connect)
    async with open_client("http://127.0.0.1:1", policy=ONE_POLL) as client:
        with pytest.raises(errors.NeverArrived):
            await client.start_run(job, idempotency_key="start-1")


async def test_a_session_that_cannot_be_closed_takes_no_answer_back(
    server, open_client, job, monkeypatch, caplog
):
    close = aiohttp.ClientSession.close

    async def fail(session):
        await close(session)
        raise RuntimeError("the handler is closed")

    monkeypatch.setattr(aiohttp.ClientSession, "close", fail)
    async with open_client(server.url) as client:
        run_id = await client.start_run(job, idempotency_key="start-1")
    assert run_id
    assert "cannot be closed" in caplog.text


async def test_an_oversized_body_is_not_read_to_its_end(server, open_client):
    server.faults.append(Fault(status=200, body="[" + " " * (17 * 1024 * 1024) + "]"))
    async with open_client(server.url, policy=ONE_POLL) as client:
        with pytest.raises(errors.UnreadableAnswer, match="larger than 16777216 bytes"):
            await client.list_workspaces()


async def test_an_answer_that_does_not_come_in_time(server, open_client, job, monkeypatch):
    monkeypatch.setattr(transport, "REQUEST_TIMEOUT", 0.1)
    server.faults.append(Fault(times=None, delay=600))
    async with open_client(server.url, policy=ONE_POLL) as client:
        with pytest.raises(errors.MaybeArrived, match="no answer from"):
            await client.list_workspaces()
        with pytest.raises(errors.RunMayHaveStarted, match=r"TimeoutError|timeout"):
            await client.start_run(job, idempotency_key="start-1")
    server.stop()
    assert [request.method for request in server.requests].count("POST") == 1


async def test_a_connection_that_is_not_made_in_time_never_arrived(open_client, job, monkeypatch):
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT", 0.1)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):  # they fill the queue, which nobody empties
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        async with open_client(url, policy=ONE_POLL) as client:
            with pytest.raises(errors.NeverArrived, match=f"no connection to {url}"):
                await client.start_run(job, idempotency_key="start-1")


async def test_a_name_that_does_not_resolve_never_arrived(open_client, job, monkeypatch):
    def unknown(host, *args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with open_client("http://datarecs.invalid", extra=INSECURE, policy=ONE_POLL) as client:
        with pytest.raises(errors.NeverArrived, match=r"datarecs\.invalid.*Name or service not known"):
            await client.start_run(job, idempotency_key="start-1")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "datarecs simulator")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private, plain = (
        serialization.Encoding.PEM,
        serialization.PrivateFormat,
        serialization.NoEncryption(),
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(key.private_bytes(pem, private.PKCS8, plain) + made.public_bytes(pem))
    return path


@pytest.fixture
def tls_server(world, certificate):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with Simulator(world, tls=tls) as server:
        yield server


@pytest.fixture
def trusted(certificate, monkeypatch):
    """Trust the certificate in the way that users can."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@pytest.mark.usefixtures("trusted")
async def test_https_with_a_certificate_that_is_trusted(tls_server, job):
    settings = ClientSettings.from_fields(host=tls_server.url, api_key="demo-key")
    async with DataRecsClient(settings, tls=settings.tls()) as client:
        assert (await client.list_workspaces())[0]["name"] == "Finance"
        await client.start_run(job, idempotency_key="start-1")
    assert len(tls_server.requests) == 2


async def test_a_certificate_that_does_not_verify_never_arrived(tls_server, job):
    settings = ClientSettings.from_fields(host=tls_server.url, api_key="demo-key")
    async with DataRecsClient(settings, tls=settings.tls(), policy=ONE_POLL) as client:
        with pytest.raises(errors.NeverArrived, match=r"(?i)certificate.verify.failed"):
            await client.start_run(job, idempotency_key="start-1")
    assert tls_server.requests == []


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_for_another_name_never_arrived(tls_server, job):
    host = tls_server.url.replace("127.0.0.1", "localhost")
    settings = ClientSettings.from_fields(host=host, api_key="demo-key")
    async with DataRecsClient(settings, tls=settings.tls(), policy=ONE_POLL) as client:
        with pytest.raises(errors.NeverArrived, match=r"(?i)certificate"):
            await client.start_run(job, idempotency_key="start-1")
    assert tls_server.requests == []


async def test_https_to_a_server_without_tls_never_arrived(server, job):
    settings = ClientSettings.from_fields(host=server.url.replace("http", "https"), api_key="demo-key")
    async with DataRecsClient(settings, tls=settings.tls(), policy=ONE_POLL) as client:
        with pytest.raises(errors.NeverArrived):
            await client.start_run(job, idempotency_key="start-1")
    assert server.requests == []


async def test_a_proxy_from_the_environment_is_used(server, open_client, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    async with open_client("http://datarecs.invalid", extra=INSECURE) as client:
        assert len(await client.list_workspaces()) == 2
    assert server.requests[0].headers["Host"] == "datarecs.invalid"


async def test_no_proxy_is_used_for_loopback(server, client, open_client, monkeypatch):
    with Simulator() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        async with open_client(server.url) as client:
            await client.list_workspaces()
        assert proxy.requests == []
    assert len(server.requests) == 1


async def test_a_proxy_that_refuses_sees_no_api_key_and_shows_no_password(raw_server, job, monkeypatch):
    async with raw_server(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//me:s3cret@"))
        settings = ClientSettings.from_fields(host="https://datarecs.invalid", api_key="demo-key")
        async with DataRecsClient(settings, tls=settings.tls(), policy=ONE_POLL) as client:
            with pytest.raises(errors.NeverArrived, match=r"the proxy refuses .*407 Who are you") as caught:
                await client.start_run(job, idempotency_key="start-1")
    assert proxy.heads[0].startswith("CONNECT datarecs.invalid:443 ")
    assert "demo-key" not in proxy.heads[0]
    assert "s3cret" not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"


async def test_netrc_does_not_replace_the_api_key(server, client, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other")
    monkeypatch.setenv("NETRC", str(netrc))
    await client.list_workspaces()
    assert server.requests[0].headers["Authorization"] == "Bearer demo-key"


async def test_no_cookie_is_sent_back(server, client):
    server.faults.append(Fault(status=200, body=[], headers={"Set-Cookie": "session=1"}))
    await client.list_workspaces()
    await client.list_workspaces()
    assert "Cookie" not in server.requests[1].headers


async def test_a_client_that_is_not_open_says_so(server, open_client):
    with pytest.raises(RuntimeError, match="async with"):
        await open_client(server.url).list_workspaces()
    assert server.requests == []


async def test_the_connection_is_closed_with_the_client(raw_server, open_client):
    async with raw_server(ok(Connection="keep-alive")) as server:
        async with open_client(server.url) as client:
            await client.list_workspaces()
        await asyncio.wait_for(server.closed.wait(), 10)


@pytest.mark.parametrize(
    "fault", [None, {"status": 503}, {"drop": "before"}, {"status": 200, "body": "x" * 10**6}]
)
def test_nothing_stays_open(server, open_client, job, fault):
    complaints = []
    gc.collect()  # what other tests left

    async def use():
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        if fault:
            server.faults.append(Fault(times=None, **fault))
        async with open_client(server.url, policy=ONE_POLL) as client:
            with suppress(errors.DataRecsError):
                await client.list_workspaces()
            with suppress(errors.DataRecsError):
                await client.start_run(job, idempotency_key="start-1")
        del client
        gc.collect()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(use())
        gc.collect()
    assert complaints == []
    left = [str(warning.message) for warning in caught if warning.category is ResourceWarning]
    assert [text for text in left if "event loop" not in text] == []  # a loop is pytest-asyncio's


async def test_the_api_key_is_in_no_repr(client):
    for shown in (client, client.settings):
        assert "demo-key" not in f"{shown!r} {shown}"
