"""Zenith distance and parallactic angle agree with the geometry of the sphere."""

import numpy as np

from etendue.geom.earth import sidereal_deg
from etendue.geom.horizon import toward_zenith, zenith_and_parallactic_deg
from etendue.geom.sphere import separation_deg

LONGITUDE, LATITUDE = -70.7, -30.2


def test_a_small_step_towards_the_zenith_comes_nearer_by_its_length():
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0.0, 360.0, 50), rng.uniform(-80.0, 80.0, 50)
    mjd = rng.uniform(59000.0, 61000.0, 50)
    site = {"mjd_tai": mjd, "longitude_deg": LONGITUDE, "latitude_deg": LATITUDE}
    zenith, angle = zenith_and_parallactic_deg(ra, dec, **site)
    top = sidereal_deg(mjd - 37.0 / 86400.0, LONGITUDE) % 360.0
    np.testing.assert_allclose(zenith, separation_deg(ra, dec, top, LATITUDE), atol=1e-6)
    step = 1e-3
    east, north = step * np.sin(np.radians(angle)), step * np.cos(np.radians(angle))
    moved = ra + east / np.cos(np.radians(dec)), dec + north
    np.testing.assert_allclose(zenith - separation_deg(*moved, top, LATITUDE), step, rtol=1e-3)


def test_the_vector_has_the_length_tan_z_and_is_nan_below_the_horizon():
    site = {"mjd_tai": 60000.0, "longitude_deg": LONGITUDE, "latitude_deg": LATITUDE}
    top = float(sidereal_deg(60000.0 - 37.0 / 86400.0, LONGITUDE)) % 360.0
    east, north = toward_zenith([top, top, top + 180.0], [LATITUDE + 45.0, LATITUDE, -LATITUDE], **site)
    np.testing.assert_allclose((east[0], north[0]), (0.0, -1.0), atol=1e-9)
    np.testing.assert_allclose((east[1], north[1]), 0.0, atol=1e-9)
    assert np.isnan(east[2])
