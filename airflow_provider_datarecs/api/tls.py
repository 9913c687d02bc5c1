"""The trusted certificates, loaded once for all clients of a process."""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
from typing import Any

_lock = threading.Lock()
_loaded: tuple[Any, ssl.SSLContext] | None = None  # what it was loaded from, and what came of it


def trusted() -> ssl.SSLContext:
    """
    Give a TLS context with the certificates that Python trusts, the same one while these are the same.

    Reads files: keep it off an event loop.
    """
    global _loaded  # noqa: PLW0603 - each context takes half a megabyte, and tens of milliseconds to load
    source = _source()
    with _lock:
        if _loaded is None or _loaded[0] != source:
            _loaded = source, ssl.create_default_context()
        return _loaded[1]


def _source() -> Any:
    """Say what a context is loaded from: paths, which the environment may name, and what is there now."""
    paths = ssl.get_default_verify_paths()
    stamps = []
    for path in (paths.cafile, paths.capath):
        stamp = None
        with contextlib.suppress(OSError):
            found = os.stat(path) if path else None
            stamp = (found.st_ino, found.st_size, found.st_mtime_ns) if found else None
        stamps.append((path, stamp))
    return stamps, os.environ.get("SSLKEYLOGFILE")
