"""A small table."""

import numpy as np
import pytest

from etendue.table.table import Table


@pytest.fixture
def stars() -> Table:
    n = 5
    columns = {
        "sourceId": np.arange(n) + 2**60,
        "visit": np.full(n, 2019032600132),
        "detector": np.zeros(n, int),
        "band": ["VR"] * n,
        "x": np.arange(n) + 0.5,
        "y": np.arange(n)[::-1] * 2.0,
        "ra": np.full(n, 124.6),
        "dec": np.full(n, 25.3),
        "psfFlux": [1.0, 2.0, np.nan, 4.0, 5.0],
        "psfFluxErr": np.ones(n),
    }
    return Table("source", columns, {"skymap": "lowell"})
