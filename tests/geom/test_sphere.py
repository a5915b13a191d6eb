import numpy as np
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from etendue.geom.sphere import (
    offset,
    separation_deg,
    sky_position,
    tangent_plane,
    tangent_plane_inverse,
    unit_vector,
)

ra, dec = st.floats(0, 360, exclude_max=True), st.floats(-90, 90)


@settings(deadline=None)
@given(ra, dec, ra, st.floats(0, 179))
def test_offset_moves_by_the_distance(ra, dec, angle, distance):
    end = offset(ra, dec, angle, distance)
    assert abs(separation_deg(ra, dec, *end) - distance) < 1e-9
    assert 0 <= end[0] < 360


def test_separation_and_offset_agree_with_astropy():
    rng = np.random.default_rng(5)
    a, b = (SkyCoord(rng.uniform(0, 360, 100), rng.uniform(-90, 90, 100), unit="deg") for _ in range(2))
    assert_allclose(separation_deg(a.ra.deg, a.dec.deg, b.ra.deg, b.dec.deg), a.separation(b).deg, rtol=1e-12)
    back = offset(a.ra.deg, a.dec.deg, a.position_angle(b).deg, a.separation(b).deg)
    assert separation_deg(*back, b.ra.deg, b.dec.deg).max() < 1e-10


def test_tiny_separations_keep_their_digits():
    assert_allclose(separation_deg(10.0, 40.0, 10.0, 40.0 + 1e-9), 1e-9, rtol=1e-5)


@settings(deadline=None)
@given(ra, dec, ra, st.floats(0, 80))
def test_tangent_plane_is_inverted(ra, dec, angle, distance):
    end = offset(ra, dec, angle, distance)
    plane = tangent_plane(*end, ra, dec)
    assert separation_deg(*tangent_plane_inverse(*plane, ra, dec), *end) < 1e-9


def test_nothing_is_seen_behind_the_tangent_plane():
    assert np.isnan(tangent_plane([100.0, 180.0], 0.0, 0.0, 0.0)).all()


def test_vectors_lead_back_to_positions():
    position = sky_position(3.0 * unit_vector([0.0, 359.999, 20.0], [90.0, -10.0, 0.0]))
    assert_allclose(position, ([0.0, 359.999, 20.0], [90.0, -10.0, 0.0]), atol=1e-12)
