"""The trusted certificates, which all clients of a process share."""

from __future__ import annotations

import ssl
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_datarecs.api import tls
from airflow_provider_datarecs.api.settings import ClientSettings

HTTPS = ClientSettings(base_url="https://api.test", api_key="k")


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """A file of certificates of the test's own, which the environment names."""
    path = tmp_path / "bundle.pem"
    path.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


def test_all_threads_and_settings_are_given_the_same():
    with ThreadPoolExecutor(8) as threads:
        given = list(threads.map(lambda _: HTTPS.tls(), range(32)))
    assert set(given) == {tls.trusted()}
    assert given[0].verify_mode == ssl.CERT_REQUIRED
    assert given[0].check_hostname


def test_http_needs_none():
    assert ClientSettings(base_url="http://127.0.0.1", api_key="k").tls() is None


def test_another_bundle_in_the_environment_is_loaded(bundle, monkeypatch):
    named = tls.trusted()
    assert tls.trusted() is named
    monkeypatch.delenv("SSL_CERT_FILE")
    assert tls.trusted() is not named


def test_a_bundle_that_was_replaced_is_loaded_anew(bundle):
    before = tls.trusted()
    bundle.write_text("# others\n")
    assert tls.trusted() is not before


def test_a_bundle_that_is_missing_leaves_what_python_finds_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "no such file"))
    assert tls.trusted() is tls.trusted()
