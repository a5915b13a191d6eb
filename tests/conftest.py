"""Fixtures shared by every test."""

import signal
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

sys.path.insert(0, str(Path(__file__).parent))  # helpers of several folders

_SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@event.listens_for(Engine, "connect")
def _without_waiting_for_the_disk(connection: Any, _: Any) -> None:
    """Leave it to the system when pages reach the disk: tests kill processes, not machines."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real observations beside the checkout, or skip."""
    if not _SHARED_DATA.is_dir():
        pytest.skip("the real observations (../shared/data) are not beside this checkout")
    return _SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def heeds_ctrl_c() -> Iterator[None]:
    """Let tests and the commands that they start heed SIGINT, which shells make their background jobs ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
