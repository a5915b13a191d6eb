"""A PostgreSQL server of the tests' own: in a temporary folder, reached through a socket, run without privileges."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_OWNER = "postgres"  # the system user that runs the server where the tests run as root, which PostgreSQL refuses
_SETTINGS = ("listen_addresses=", "fsync=off", "full_page_writes=off", "shared_buffers=32MB", "max_connections=50")


class PostgresServer:
    """A server in a folder of its own.

    Parameters
    ----------
    folder : Path
        Prepared by `running_server`.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def url(self, database: str) -> str:
        """Return the URL of a database, for SQLAlchemy and for ``etendue init --database``."""
        return f"postgresql://{_user()}@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Run one statement; return its rows, columns separated by ``|``."""
        command = [_program("psql"), "-h", self.folder, "-U", _user(), "-d", database, "-Atqc", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def break_connections(self, database: str) -> int:
        """End all connections to a database, as a failing network does; return how many."""
        ended = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{database}'"
        return int(self.execute(ended))


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Run a server until the end of the block; skips the test where there is no PostgreSQL."""
    if not _program("initdb") or not _program("postgres") or not _program("psql"):
        pytest.skip("no PostgreSQL server on this machine (Debian: apt install postgresql)")
    if os.geteuid() == 0 and not _exists(_OWNER):
        pytest.skip(f"PostgreSQL refuses to run as root, and there is no user {_OWNER}")
    folder = Path(tempfile.mkdtemp(prefix="etendue-pg-", dir="/tmp"))  # the path of a socket must be short
    if os.geteuid() == 0:
        shutil.chown(folder, _OWNER, _OWNER)
    data = folder / "data"
    process = None
    try:
        _run("initdb", "-D", data, "-U", _user(), "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [_program("postgres"), "-D", data, "-k", folder, *settings], stdout=log, stderr=log, **_identity()
            )
        _run("pg_isready", "-h", folder, "-t", "30", again=60)
        server = PostgresServer(folder)
        server.execute("CREATE EXTENSION btree_gist", "template1")
        yield server
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # the fast shutdown: open connections are broken off
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _run(program: str, *arguments: object, again: int = 1) -> None:
    command = [_program(program), *map(str, arguments)]
    for _ in range(again):
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", **_identity())
        if done.returncode == 0:
            return
        if again > 1:
            subprocess.run(["sleep", "0.1"], check=True)
    raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")


def _program(name: str) -> str:
    """Return the path of a program of PostgreSQL, of the newest version; empty where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(found[-1]) if found else (shutil.which(name) or "")


def _user() -> str:
    return _OWNER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def _identity() -> dict[str, object]:
    return {"user": _OWNER, "group": _OWNER, "extra_groups": []} if os.geteuid() == 0 else {}


def _exists(user: str) -> bool:
    return any(entry.pw_name == user for entry in pwd.getpwall())
