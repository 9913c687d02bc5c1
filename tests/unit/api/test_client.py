"""The network below the calls: what cannot be reached, does not answer, or answers with rubbish."""

from __future__ import annotations

import asyncio
import datetime
import gc
import ipaddress
import socket
import ssl
import warnings
from contextlib import suppress

import pytest

from airflow_provider_datarecs.api import client as client_module
from airflow_provider_datarecs.api import errors
from airflow_provider_datarecs.api.client import DataRecsClient
from airflow_provider_datarecs.api.retry import ONE_LOOK
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
        pytest.param(ok(Content_Encoding="gzip"), errors.MaybeArrived, id="no gzip in spite of its header"),
        pytest.param(ok(X="x" * 100_000), errors.MaybeArrived, id="a huge header"),
        pytest.param(ok(b"\xff\xfe\x00"), errors.UnreadableAnswer, id="no text"),
    ],
)
async def test_rubbish_for_an_answer(raw_server, open_client, job, answer, kind):
    async with raw_server(answer) as server, open_client(server.url, patience=ONE_LOOK) as client:
        with pytest.raises(errors.MaybeArrived) as caught:
            await client.list_workspaces()
        server.heads.clear()
        with pytest.raises(errors.RunMayHaveStarted):
            await client.start_run(job, idempotency_key="wish-1")
    assert type(caught.value) is kind
    assert "demo-key" not in str(caught.value)
    assert [head.split()[0] for head in server.heads] == ["POST"]


async def test_an_answer_with_a_wrong_content_type_is_read_all_the_same(raw_server, open_client):
    async with raw_server(ok(Content_Type="text/plain")) as server, open_client(server.url) as client:
        assert await client.list_workspaces() == []


async def test_an_oversized_body_is_not_read_to_its_end(server, open_client):
    server.faults.append(Fault(status=200, body="[" + " " * (17 * 1024 * 1024) + "]"))
    async with open_client(server.url, patience=ONE_LOOK) as client:
        with pytest.raises(errors.UnreadableAnswer, match="larger than 16777216 bytes"):
            await client.list_workspaces()


async def test_an_answer_that_does_not_come_in_time(server, open_client, job, monkeypatch):
    monkeypatch.setattr(client_module, "REQUEST_TIMEOUT", 0.1)
    server.faults.append(Fault(times=None, delay=600))
    async with open_client(server.url, patience=ONE_LOOK) as client:
        with pytest.raises(errors.MaybeArrived, match="no answer from"):
            await client.list_workspaces()
        with pytest.raises(errors.RunMayHaveStarted, match=r"TimeoutError|timeout"):
            await client.start_run(job, idempotency_key="wish-1")
    server.stop()
    assert [request.method for request in server.requests].count("POST") == 1


async def test_a_connection_that_is_not_made_in_time_never_arrived(open_client, job, monkeypatch):
    monkeypatch.setattr(client_module, "CONNECT_TIMEOUT", 0.1)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):  # they fill the queue, which nobody empties
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        async with open_client(url, patience=ONE_LOOK) as client:
            with pytest.raises(errors.NeverArrived, match=f"no connection to {url}"):
                await client.start_run(job, idempotency_key="wish-1")


async def test_a_name_that_does_not_resolve_never_arrived(open_client, job, monkeypatch):
    def unknown(host, *args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with open_client("http://datarecs.invalid", extra=INSECURE, patience=ONE_LOOK) as client:
        with pytest.raises(errors.NeverArrived, match=r"datarecs\.invalid.*Name or service not known"):
            await client.start_run(job, idempotency_key="wish-1")


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
        await client.start_run(job, idempotency_key="wish-1")
    assert len(tls_server.requests) == 2


async def test_a_certificate_that_does_not_verify_never_arrived(tls_server, job):
    settings = ClientSettings.from_fields(host=tls_server.url, api_key="demo-key")
    async with DataRecsClient(settings, tls=settings.tls(), patience=ONE_LOOK) as client:
        with pytest.raises(errors.NeverArrived, match=r"(?i)certificate.verify.failed"):
            await client.start_run(job, idempotency_key="wish-1")
    assert tls_server.requests == []


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_for_another_name_never_arrived(tls_server, job):
    host = tls_server.url.replace("127.0.0.1", "localhost")
    settings = ClientSettings.from_fields(host=host, api_key="demo-key")
    async with DataRecsClient(settings, tls=settings.tls(), patience=ONE_LOOK) as client:
        with pytest.raises(errors.NeverArrived, match=r"(?i)certificate"):
            await client.start_run(job, idempotency_key="wish-1")
    assert tls_server.requests == []


async def test_https_to_a_server_without_tls_never_arrived(server, job):
    settings = ClientSettings.from_fields(host=server.url.replace("http", "https"), api_key="demo-key")
    async with DataRecsClient(settings, tls=settings.tls(), patience=ONE_LOOK) as client:
        with pytest.raises(errors.NeverArrived):
            await client.start_run(job, idempotency_key="wish-1")
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
        async with DataRecsClient(settings, tls=settings.tls(), patience=ONE_LOOK) as client:
            with pytest.raises(errors.NeverArrived, match=r"the proxy refuses .*407 Who are you") as caught:
                await client.start_run(job, idempotency_key="wish-1")
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
        async with open_client(server.url, patience=ONE_LOOK) as client:
            with suppress(errors.DataRecsError):
                await client.list_workspaces()
            with suppress(errors.DataRecsError):
                await client.start_run(job, idempotency_key="wish-1")
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
