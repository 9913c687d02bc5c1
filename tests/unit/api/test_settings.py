from __future__ import annotations

import pytest

from airflow_provider_datarecs.api.errors import InvalidSettings
from airflow_provider_datarecs.api.settings import ClientSettings
from airflow_provider_datarecs.provider_info import CONN_FIELDS


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
        ({"host": "https://api.datarecs.io", "schema": "https"}, "https://api.datarecs.io"),
        ({"host": "api.datarecs.io", "port": 8443}, "https://api.datarecs.io:8443"),
        ({"host": "api.datarecs.com/v1", "port": 8443}, "https://api.datarecs.com:8443/v1"),
        ({"host": "https://api.datarecs.io:444", "port": 444}, "https://api.datarecs.io:444"),
        ({"host": "api.datarecs.io:444", "port": 444}, "https://api.datarecs.io:444"),
        ({"host": "https://[::1]", "port": 8443}, "https://[::1]:8443"),
        ({"host": "https://bücher.test/ö"}, "https://xn--bcher-kva.test/%C3%B6"),
        # As secrets backends may have them.
        ({"host": b"https://api.datarecs.io"}, "https://api.datarecs.io"),
        ({"host": "api.datarecs.io", "schema": b"https", "port": "8443"}, "https://api.datarecs.io:8443"),
        ({"host": "api.datarecs.io", "port": b"8443"}, "https://api.datarecs.io:8443"),
        ({"host": "api.datarecs.io", "port": 8443.0}, "https://api.datarecs.io:8443"),
        ({"host": "api.datarecs.io", "port": " 8443 "}, "https://api.datarecs.io:8443"),
        ({"host": "api.datarecs.io", "port": ""}, "https://api.datarecs.io"),
        ({"host": "api.datarecs.io", "port": 0, "login": ""}, "https://api.datarecs.io"),
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


@pytest.mark.parametrize("value", ["ja", 2, [True], {}])
def test_what_is_neither_true_nor_false_is_refused(value):
    with pytest.raises(InvalidSettings, match='"allow_insecure_http" must be true or false'):
        settings_for(extra={"allow_insecure_http": value})


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
        {"host": "api.datarecs.io", "port": "https"},
        {"host": "api.datarecs.io", "port": 443.5},
        {"host": "api.datarecs.io", "port": True},
        {"host": "https://api.datarecs.io", "schema": "v1"},  # a URI's path
        {"host": "https://api.datarecs.io", "schema": "http"},
        {"host": "https://api.datarecs.io:444", "port": 8443},
        {"host": "https://api%20.datarecs.io"},
        {"host": "https://[datarecs]"},
        {"host": "https://api.datarecs.io/\x00"},
        {"host": ["https://api.datarecs.io"]},
        {"host": b"\xff"},
        {"host": "https://api..datarecs.io"},
        {"host": f"https://{'a' * 64}.datarecs.io"},
    ],
)
def test_what_is_no_url_is_refused(fields):
    with pytest.raises(InvalidSettings, match=r"Host|Port"):
        settings_for(**fields)


@pytest.mark.parametrize(
    "host",
    [
        "https://me:s3cret@api.datarecs.io",
        "https://me:s3cret@api.datarecs.io?x=1",
        "ftp://s3cret@a",
        "https://me:s3cret/x@api.datarecs.io",
        "https://me:s3cret#x@api.datarecs.io",
    ],
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


def test_the_api_key_and_the_proxys_password_are_in_no_repr(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://me:s3cret@192.0.2.1:3128")
    settings = settings_for(api_key="demo-key")
    secret = settings.proxy.authorization.partition(" ")[2]
    for text in (repr(settings), str(settings)):
        for word in ("demo-key", "s3cret", secret):
            assert word not in text


@pytest.mark.parametrize("api_key", [b"demo-key", bytearray(b"demo-key")])
def test_an_api_key_may_be_bytes(api_key):
    assert settings_for(api_key=api_key).api_key == "demo-key"


def test_an_api_key_of_digits_may_be_a_number():
    assert settings_for(api_key=12345678).api_key == "12345678"


@pytest.mark.parametrize(
    "api_key",
    [True, 1.5, ["s3cret"], {"key": "s3cret"}, b"s3cret\xff"],
    ids=lambda value: type(value).__name__,
)
def test_an_api_key_of_another_type_is_refused_by_name_and_not_shown(api_key):
    with pytest.raises(
        InvalidSettings, match=rf"API Key .* must be text, not {type(api_key).__name__}"
    ) as caught:
        settings_for(api_key=api_key)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("login", ["s3cret", 7])
def test_a_login_is_refused_and_not_shown(login):
    with pytest.raises(InvalidSettings, match=r"Login is filled, .* put the key into API Key") as caught:
        settings_for(login=login)
    assert str(login) not in str(caught.value)


@pytest.mark.parametrize(
    "extra",
    [{"tenant": "acme"}, '{"tenant": "acme"}', b'{"tenant": "acme"}', {"extra__datarecs__tenant": "acme"}],
)
def test_an_extra_is_a_mapping_or_json(extra):
    settings = settings_for(extra=extra)
    assert (settings.tenant, settings.notes) == ("acme", ())


@pytest.mark.parametrize("extra", [None, "", " ", "{}", "null", {}])
def test_there_may_be_no_extra(extra):
    assert settings_for(extra=extra) == settings_for()


def test_an_extra_without_the_prefix_of_old_forms_counts_more():
    assert settings_for(extra={"tenant": "new", "extra__datarecs__tenant": "old"}).tenant == "new"


@pytest.mark.parametrize("extra", ["tenant=acme", b"\xff", "[1]", [1], 7, '"acme"', "[" * 10**6])
def test_an_extra_that_is_no_object_is_refused_by_name(extra):
    with pytest.raises(InvalidSettings, match="Extra must be a JSON object, not "):
        settings_for(extra=extra)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("tennant", "tenant"),
        ("Tenant", "tenant"),
        ("console-url", "console_url"),
        ("consoleUrl", "console_url"),
        ("requestsPerMinute", "requests_per_minute"),
        ("extra__datarecs__tennant", "tenant"),
    ],
)
def test_an_unknown_extra_is_named_with_the_nearest_known_one(name, meant):
    (note,) = settings_for(extra={name: "x", "tenant": "acme"}).notes
    shown = name.replace("extra__datarecs__", "")
    assert note == f"the extra '{shown}' means nothing to this provider; did you mean '{meant}'?"


def test_an_unknown_extra_that_is_near_none_is_named_with_all_that_there_are():
    (note,) = settings_for(extra={"verify": False}).notes
    assert note.endswith(f"; there are {', '.join(CONN_FIELDS)}")


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


def test_equal_fields_make_equal_settings():
    assert settings_for("api.datarecs.io") == settings_for("https://api.datarecs.io/")
    assert settings_for(api_key="one") != settings_for(api_key="two")
    assert settings_for(extra={"tenant": "one"}) != settings_for(extra={"tenant": "two"})


def test_certificates_are_loaded_for_https_alone():
    assert settings_for("https://api.test").tls() is not None
    assert settings_for("http://127.0.0.1").tls() is None
