"""Fixtures shared by every test."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # helpers of several folders

_SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


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
