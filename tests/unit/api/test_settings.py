from __future__ import annotations

import pytest

from airflow_provider_datarecs.api.errors import InvalidSettings
from airflow_provider_datarecs.api.settings import ClientSettings


def settings_for(host="https://api.datarecs.io", api_key="demo-key", **fields):
    return ClientSettings.from_fields(host=host, api_key=api_key, **fields)


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"host": "https://api.datarecs.io"}, "https://api.datarecs.io"),
        ({"host": "https://api.datarecs.com/v1"}, "https://api.datarecs.com/v1"),
        ({"host": "https://api.datarecs.com/v1/"}, "https://api.datarecs.com/v1"),
        ({"host": "  https://api.datarecs.io//  "}, "https://api.datarecs.io"),
        ({"host": "HTTPS://api.datarecs.io"}, "https://api.datarecs.io"),
        ({"host": "api.datarecs.io"}, "https://api.datarecs.io"),
        ({"host": "api.datarecs.com/v1"}, "https://api.datarecs.com/v1"),
        ({"host": "api.datarecs.io", "schema": "https"}, "https://api.datarecs.io"),
        ({"host": "api.datarecs.io", "schema": ""}, "https://api.datarecs.io"),
        ({"host": "127.0.0.1", "schema": "http"}, "http://127.0.0.1"),
        ({"host": "127.0.0.1", "schema": "HTTP "}, "http://127.0.0.1"),
        ({"host": "https://api.datarecs.io", "schema": "http"}, "https://api.datarecs.io"),
        ({"host": "api.datarecs.io", "port": 8443}, "https://api.datarecs.io:8443"),
        ({"host": "api.datarecs.com/v1", "port": 8443}, "https://api.datarecs.com:8443/v1"),
        ({"host": "https://api.datarecs.io:444", "port": 8443}, "https://api.datarecs.io:444"),
        ({"host": "api.datarecs.io:444", "port": 8443}, "https://api.datarecs.io:444"),
        ({"host": "https://[::1]", "port": 8443}, "https://[::1]:8443"),
    ],
)
def test_base_url_of_a_connection(fields, base_url):
    assert settings_for(**fields).base_url == base_url


@pytest.mark.parametrize(
    "host", ["http://127.0.0.1:8790", "http://127.8.8.8", "http://localhost:1", "http://[::1]:1"]
)
def test_plain_http_is_fine_on_loopback(host):
    assert settings_for(host).base_url == host


@pytest.mark.parametrize(
    "host",
    [
        "http://api.datarecs.io",
        "http://10.0.0.5:8080",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://0.0.0.0",
    ],
)
def test_plain_http_is_refused_elsewhere(host):
    with pytest.raises(InvalidSettings, match="allow_insecure_http") as caught:
        settings_for(host)
    assert host in str(caught.value)


def test_plain_http_by_the_schema_is_refused_as_well():
    with pytest.raises(InvalidSettings, match="allow_insecure_http"):
        settings_for("api.datarecs.io", schema="http")


@pytest.mark.parametrize("value", [True, "true", "True", "1", 1, "yes", "on", "y"])
def test_plain_http_is_allowed_by_the_extra(value):
    assert settings_for("http://api.test", extra={"allow_insecure_http": value}).base_url == "http://api.test"


@pytest.mark.parametrize("value", [False, "false", "", 0, None, "no"])
def test_plain_http_stays_refused_by_any_other_value(value):
    with pytest.raises(InvalidSettings):
        settings_for("http://api.test", extra={"allow_insecure_http": value})


@pytest.mark.parametrize(
    "fields",
    [
        {"host": None},
        {"host": ""},
        {"host": "  "},
        {"host": "https://"},
        {"host": "/"},
        {"host": "https:/api.datarecs.io"},
        {"host": "https:api.datarecs.io"},
        {"host": "ftp://api.datarecs.io"},
        {"host": "api.datarecs.io", "schema": "v1"},
        {"host": "https://api.datarecs.io?tenant=x"},
        {"host": "https://api.datarecs.io#top"},
        {"host": "https://api.data recs.io"},
        {"host": "https://[::1"},
        {"host": "https://api.datarecs.io:port"},
        {"host": "https://api.datarecs.io:99999"},
        {"host": "api.datarecs.io", "port": 99999},
        {"host": "api.datarecs.io", "port": -1},
        {"host": "https://api..datarecs.io"},
        {"host": f"https://{'a' * 64}.datarecs.io"},
    ],
)
def test_what_is_no_url_is_refused(fields):
    with pytest.raises(InvalidSettings, match=r"Host|Port"):
        settings_for(**fields)


@pytest.mark.parametrize(
    "host", ["https://me:s3cret@api.datarecs.io", "https://me:s3cret@api.datarecs.io?x=1", "ftp://s3cret@a"]
)
def test_a_password_in_the_host_is_refused_and_not_shown(host):
    with pytest.raises(InvalidSettings, match="API Key") as caught:
        settings_for(host)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("api_key", [None, "", " \n"])
def test_an_empty_api_key_is_refused(api_key):
    with pytest.raises(InvalidSettings, match=r"API Key .*empty"):
        settings_for(api_key=api_key)


@pytest.mark.parametrize("api_key", ["one two", "s3cret\r\nX-Evil: 1", "s3cret\x00", "schlüssel"])
def test_an_api_key_that_no_header_can_carry_is_refused_and_not_shown(api_key):
    with pytest.raises(InvalidSettings) as caught:
        settings_for(api_key=api_key)
    assert api_key not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_an_api_key_is_stripped_of_what_pasting_adds():
    assert settings_for(api_key=" demo-key\n").headers() == {"Authorization": "Bearer demo-key"}


def test_the_api_key_and_the_proxy_are_in_no_repr(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://me:s3cret@127.0.0.1:3128")
    settings = settings_for(api_key="demo-key")
    assert settings.proxy == "http://me:s3cret@127.0.0.1:3128"
    for text in (repr(settings), str(settings)):
        assert "demo-key" not in text
        assert "s3cret" not in text


@pytest.mark.parametrize("console_url", [None, "", " "])
def test_the_console_url_may_be_left_out(console_url):
    assert settings_for(extra={"console_url": console_url}).console_url is None


@pytest.mark.parametrize("tenant", [None, ""])
def test_no_tenant_no_header(tenant):
    assert settings_for(extra={"tenant": tenant}).headers() == {"Authorization": "Bearer demo-key"}


def test_a_tenant_is_a_header():
    headers = settings_for(extra={"tenant": "acme"}).headers()
    assert headers == {"Authorization": "Bearer demo-key", "X-Datarecs-Tenant-Hint": "acme"}


@pytest.mark.parametrize("tenant", ["äcme", "a\r\nX-Evil: 1", 7, ["acme"]])
def test_a_tenant_that_no_header_can_carry_is_refused(tenant):
    with pytest.raises(InvalidSettings, match="tenant"):
        settings_for(extra={"tenant": tenant})


@pytest.mark.parametrize(
    ("environment", "host", "proxy"),
    [
        ({"https_proxy": "http://p:1"}, "https://api.test", "http://p:1"),
        ({"https_proxy": "p:1"}, "https://api.test", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "https://api.test", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "https://api.test", None),
        ({"https_proxy": "http://p:1", "no_proxy": ".test"}, "https://api.test", None),
        ({"https_proxy": "http://p:1", "no_proxy": "*"}, "https://api.test", None),
        ({"https_proxy": "http://p:1", "no_proxy": "other.test"}, "https://api.test", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "http://127.0.0.1:8790", None),
        ({"http_proxy": "http://p:1"}, "http://localhost:8790", None),
    ],
)
def test_proxy_from_the_environment(monkeypatch, environment, host, proxy):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert settings_for(host).proxy == proxy


def test_equal_fields_make_equal_settings():
    assert settings_for("api.datarecs.io") == settings_for("https://api.datarecs.io/")
    assert settings_for(api_key="one") != settings_for(api_key="two")
    assert settings_for(extra={"tenant": "one"}) != settings_for(extra={"tenant": "two"})


def test_certificates_are_loaded_for_https_alone():
    assert settings_for("https://api.test").tls() is not None
    assert settings_for("http://127.0.0.1").tls() is None


def test_a_proxy_that_no_request_can_take_is_refused_before_anything_is_sent(monkeypatch):
    monkeypatch.setenv("https_proxy", "socks5://me:s3cret@127.0.0.1:1080")
    with pytest.raises(InvalidSettings, match="https_proxy") as caught:
        ClientSettings.from_fields(host="https://api.test", api_key="demo-key")
    assert "s3cret" not in str(caught.value)
