"""Small catalogs for the archive."""

import numpy as np
import pytest

from etendue.table.table import Table


def objects(n: int = 400, *, seed: int = 1, first: int = 1, band: str = "r", size_deg: float = 3.0) -> Table:
    rng = np.random.default_rng(seed)
    columns = {
        "objectId": first + np.arange(n),
        "tract": np.zeros(n, int),
        "patch": np.zeros(n, int),
        "coord_ra": (120 + rng.uniform(-size_deg, size_deg, n)) % 360,
        "coord_dec": 25 + rng.uniform(-size_deg, size_deg, n),
        f"{band}_psfFlux": rng.normal(1000, 10, n),
    }
    return Table("object", columns)


def forced(objects: Table, visit: int) -> Table:
    n = len(objects)
    columns = {
        "objectId": objects["objectId"],
        "visit": np.full(n, visit),
        "detector": np.zeros(n, int),
        "band": ["r"] * n,
        "coord_ra": objects["coord_ra"],
        "coord_dec": objects["coord_dec"],
        "psfFlux": np.full(n, visit, float),
        "midpointMjdTai": np.full(n, 60000.0 + visit),
    }
    return Table("forced_source", columns)


@pytest.fixture
def catalog() -> Table:
    return objects()
