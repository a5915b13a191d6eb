import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.geom.sphere import separation_deg
from etendue.simulate.population.layer import KINDS, Field, kind_of, layer_ids


def test_ids_of_layers_do_not_overlap_and_survive_as_float64():
    ids = np.concatenate([layer_ids(kind, 1000, copy) for kind in KINDS for copy in (0, 1, 255)])
    assert np.unique(ids).size == ids.size
    np.testing.assert_array_equal(ids.astype(float).astype(np.int64), ids)
    assert list(dict.fromkeys(kind_of(ids))) == list(KINDS)


def test_ids_refuse_what_they_cannot_hold():
    with pytest.raises(ValueError, match="256 layers"):
        layer_ids("stars", 1, 256)


@given(st.floats(0, 359.9), st.floats(-90, 90), st.floats(-180, 180), st.floats(-89.9, 89.9))
def test_a_fields_frame_and_the_sky_are_inverse(ra, dec, east, north):
    field = Field(ra, dec, 180, 90)
    there = field.to_sky(np.array([east]), np.array([north]))
    again = field.from_sky(*there)
    assert separation_deg(east, north, again[0][0], again[1][0]) < 1e-9


def test_east_and_north_are_where_they_should_be():
    ra, dec = Field(30.0, 20.0, 1, 1).to_sky(np.array([0.0, 0.01, 0.0]), np.array([0.0, 0.0, 0.01]))
    np.testing.assert_allclose((ra[0], dec[0]), (30.0, 20.0))
    np.testing.assert_allclose(ra[1] - 30.0, 0.01 / np.cos(np.radians(20.0)), rtol=1e-4)
    np.testing.assert_allclose((ra[2], dec[2]), (30.0, 20.01))


@pytest.mark.parametrize("dec", [0.0, 60.0, 90.0])
def test_scattered_positions_are_uniform_and_inside(dec):
    field = Field(10.0, dec, 40.0, 70.0)
    ra, dec_drawn = field.scatter(np.random.default_rng(1), 20000)
    assert field.contains(ra, dec_drawn).all()
    inner = Field(10.0, dec, 20.0, 35.0)
    share = inner.area_deg2 / field.area_deg2
    count = int(inner.contains(ra, dec_drawn).sum())
    assert abs(count - 20000 * share) < 4 * (20000 * share * (1 - share)) ** 0.5


def test_the_whole_sky_has_its_area():
    np.testing.assert_allclose(Field(0, 0, 180, 90).area_deg2, 41252.961, rtol=1e-6)
