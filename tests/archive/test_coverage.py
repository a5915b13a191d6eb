import numpy as np
import pytest

from etendue.archive.coverage import cone_ranges
from etendue.geom.healpix import pixel_of
from etendue.geom.sphere import separation_deg


@pytest.mark.parametrize("radius_deg", [0.0, 1e-4, 0.01, 1.0, 20.0, 100.0, 180.0])
@pytest.mark.parametrize("center", [(120.0, 25.0), (0.0, 90.0), (359.9999, -0.001), (45.0, -89.99)])
def test_every_point_of_the_cone_is_in_a_range(center, radius_deg):
    rng = np.random.default_rng(0)
    ra = np.r_[center[0], (center[0] + rng.normal(0, 1, 5000) * max(radius_deg, 1e-5)) % 360]
    dec = np.clip(np.r_[center[1], center[1] + rng.normal(0, 1, 5000) * max(radius_deg, 1e-5)], -90, 90)
    inside = separation_deg(*center, ra, dec) <= radius_deg
    pixels = pixel_of(29, ra[inside], dec[inside])
    ranges = cone_ranges(*center, radius_deg)
    covered = np.zeros(pixels.size, bool)
    for low, high in ranges:
        covered |= (low <= pixels) & (pixels <= high)
    assert covered.all()
    assert len(ranges) <= 8


def test_a_small_cone_covers_little_sky():
    ranges = cone_ranges(120.3, 25.2, 1 / 60)
    area = sum(high - low + 1 for low, high in ranges) / (12 * 4**29) * 41253
    assert area < 20 * np.pi / 3600
