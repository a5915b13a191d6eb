"""Fixtures shared by every test."""

from pathlib import Path

import pytest

_SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real observations beside the checkout, or skip."""
    if not _SHARED_DATA.is_dir():
        pytest.skip("the real observations (../shared/data) are not beside this checkout")
    return _SHARED_DATA
