"""Small detections and images for alerts."""

import numpy as np
import pytest

from etendue.alerts.batch import AlertBatch
from etendue.alerts.package import package_alerts
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.table.table import Table

VISIT = 2019032600007


def detections(n: int = 3, *, visit: int = VISIT, mjd: float = 58568.5, first: int = 100) -> Table:
    columns = {
        "diaSourceId": np.arange(first, first + n)[::-1],
        "visit": np.full(n, visit),
        "detector": np.zeros(n, int),
        "band": ["r"] * n,
        "diaObjectId": np.arange(n)[::-1],
        "midpointMjdTai": np.full(n, mjd),
        "ra": 120 + np.arange(n) / 100,
        "dec": np.full(n, 25.0),
        "x": 20.0 + np.arange(n),
        "y": 30.0 + np.arange(n),
        "psfFlux": 1000.0 + np.arange(n),
        "psfFluxErr": np.full(n, 50.0),
        "snr": np.full(n, 20.0),
    }
    return Table("dia_source", columns)


@pytest.fixture
def exposure() -> Exposure:
    box = Box.from_shape((64, 48), y0=100, x0=200)
    pixels = np.arange(64 * 48, dtype=np.float32).reshape(64, 48)
    wcs = SkyWcs.tan(
        crpix_x=220.0, crpix_y=130.0, crval_ra_deg=120.0, crval_dec_deg=25.0, cd=np.array([[-3e-4, 0], [0, 3e-4]])
    )
    mask = Mask.empty(box).with_plane("SAT", pixels == 0)
    return Exposure(image=Image(pixels, box), mask=mask, variance=Image(pixels + 1, box), wcs=wcs, unit="nJy")


@pytest.fixture
def batch() -> AlertBatch:
    return package_alerts(visit=VISIT, detector=0, dia_sources=detections())
