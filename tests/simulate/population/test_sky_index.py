import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.geom.sphere import separation_deg
from etendue.simulate.population.sky_index import SkyIndex

_RNG = np.random.default_rng(5)
_RA = np.concatenate([_RNG.uniform(0, 360, 3000), [0.0, 360.0, 359.999, 10.0, 10.0]])
_DEC = np.concatenate([np.degrees(np.arcsin(_RNG.uniform(-1, 1, 3000))), [0.0, 0.0, 0.0, 90.0, -90.0]])
_ALL_SKY = SkyIndex(_RA, _DEC)


@settings(deadline=None, max_examples=60)
@given(st.floats(-10, 400), st.floats(-90, 90), st.floats(0.01, 179.0))
def test_a_circle_holds_what_lies_in_it_and_nothing_else(ra, dec, radius):
    apart = separation_deg(_RA, _DEC, ra, dec)
    have = _ALL_SKY.circle(ra, dec, radius)
    assert (np.diff(have) > 0).all()
    assert np.isin(np.flatnonzero(apart < radius - 1e-6), have).all()
    assert (apart[have] < radius + 1e-6).all()


def test_a_dense_field_across_the_meridian_is_cut_out():
    ra, dec = _RNG.uniform(-1, 1, 20000) % 360.0, _RNG.uniform(20, 22, 20000)
    expected = np.flatnonzero(separation_deg(ra, dec, 0.1, 21.0) <= 0.3)
    np.testing.assert_array_equal(SkyIndex(ra, dec).circle(0.1, 21.0, 0.3), expected)


def test_no_position_is_in_no_circle():
    assert SkyIndex(np.zeros(0), np.zeros(0)).circle(10.0, 20.0, 5.0).size == 0
