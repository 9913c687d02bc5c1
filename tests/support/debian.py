"""
A PostgreSQL, and a Redis, for a real Airflow: each on a private port and with a data folder of its own.

From Debian's packages ``postgresql`` and ``redis-server``; nothing of theirs that runs already is touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.airflow import RigError, free_port

if TYPE_CHECKING:
    from types import TracebackType

NEEDED = "PostgreSQL or Redis is not here; `make services` installs both from Debian, as root"
STARTING = 30.0  # seconds


class Services:
    """
    Run them, as a context manager.

    :param broker: whether there is a Redis as well
    """

    def __init__(self, *, broker: bool = False) -> None:
        self._has_broker = broker
        self._folder = Path(tempfile.mkdtemp(prefix="datarecs-services-"))
        self._postgres, self._redis = free_port(), free_port()
        self._running: list[subprocess.Popen[bytes]] = []
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.getuid() == 0 else None

    @property
    def database(self) -> str:
        """The database's URL, for Airflow."""
        return self._url("postgres")

    def new_database(self, name: str) -> str:
        """
        Make a further database, and give its URL.

        :param name: what it is called
        """
        self._run(_postgres("createdb"), *self._as_airflow, name)
        return self._url(name)

    def dump(self, name: str) -> str:
        """
        Give all that is in a database, as text.

        :param name: what it is called
        """
        dump = subprocess.run(
            [_postgres("pg_dump"), *self._as_airflow, "--data-only", name],
            capture_output=True,
            check=True,
            env={**os.environ, "PGOPTIONS": "-c bytea_output=escape"},
        )
        return dump.stdout.decode(errors="replace")

    @property
    def _as_airflow(self) -> tuple[str, ...]:
        return "-h", "127.0.0.1", "-p", str(self._postgres), "-U", "airflow"

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg2://airflow@127.0.0.1:{self._postgres}/{name}"

    @property
    def broker(self) -> str:
        """The broker's URL, for Celery."""
        return f"redis://127.0.0.1:{self._redis}/0"

    def __enter__(self) -> Services:
        if self._user:
            shutil.chown(self._folder, self._user)
        data = self._folder / "postgres"
        self._run(_postgres("initdb"), "-D", data, "-U", "airflow", "--auth=trust", "--no-sync")
        self._start(
            _postgres("postgres"), "-D", data, "-p", self._postgres, "-k", self._folder,
            "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300",
        )  # fmt: skip
        if self._has_broker:
            self._start(
                _found("redis-server"), "--port", self._redis, "--bind", "127.0.0.1", "--save", "",
                "--dir", self._folder,
            )  # fmt: skip
        asked = (_postgres("pg_isready"), "-h", "127.0.0.1", "-p", self._postgres)
        deadline = time.monotonic() + STARTING
        while self._run(*asked, check=False):
            if time.monotonic() > deadline:
                raise RigError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")
            time.sleep(0.2)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._running:
            process.send_signal(signal.SIGINT)  # PostgreSQL waits for no client then
        for process in self._running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STARTING)
            process.kill()  # nothing happens to what has ended
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, *command: object) -> None:
        with (self._folder / "log").open("ab") as log:
            self._running.append(
                subprocess.Popen(
                    [str(part) for part in command],
                    stdout=log,
                    stderr=log,
                    user=self._user,
                    cwd=self._folder,
                    start_new_session=True,
                )
            )

    def _run(self, *command: object, check: bool = True) -> int:
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            user=self._user,
            cwd=self._folder,
            check=False,
        )
        if check and done.returncode:
            raise RigError(f"{command[0]} failed:\n{done.stdout}\n{done.stderr}")
        return done.returncode


def _postgres(name: str) -> str:
    """Find one of PostgreSQL's commands, which Debian keeps off the path."""
    return next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None) or _found(name)


def _found(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(NEEDED)
    return path
