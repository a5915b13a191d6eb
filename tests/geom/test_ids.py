from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.errors import InputError
from etendue.geom.healpix import center_of, cone, pixel_of, polygon
from etendue.geom.ids import id_to_healpix, object_ids, source_ids, unpack_source_ids, visit_id
from etendue.geom.sphere import offset


@given(day=st.dates(date(2000, 1, 1), date(2089, 1, 1)), seq=st.integers(0, 99999), detector=st.integers(0, 511))
def test_source_ids_unpack_to_what_was_packed(day, seq, detector):
    visit = visit_id(int(day.strftime("%Y%m%d")), seq)
    ids = source_ids(visit, detector, 3)
    unpacked = unpack_source_ids(ids)
    np.testing.assert_array_equal(unpacked, [[visit] * 3, [detector] * 3, [1, 2, 3]])
    assert (ids > 0).all()


def test_visit_id_reads_as_a_date():
    assert visit_id(20190326, 132) == 2019032600132


@pytest.mark.parametrize("arguments", [(20191332, 1), (19991231, 1), (20200101, 100000), (20200101, -1)])
def test_bad_visits_are_refused(arguments):
    with pytest.raises(InputError):
        visit_id(*arguments)


def test_object_ids_are_addresses_and_distinct():
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(10.0, 10.002, 2000), rng.uniform(-5.0, -4.998, 2000)
    ids = object_ids(ra, dec, tract=9, patch=4)
    assert np.unique(ids).size == 2000
    for order in (18, 12, 3):
        np.testing.assert_array_equal(id_to_healpix(ids, order), pixel_of(order, ra, dec))
    assert not np.isin(object_ids(ra, dec, tract=9, patch=5), ids).any()
    assert object_ids([], [], 0, 0).size == 0


def test_cone_and_polygon_never_miss_a_pixel():
    rng = np.random.default_rng(4)
    for ra, dec, radius in ((0.0, 0.0, 1.0), (10.0, 89.5, 2.0), (200.0, -45.0, 120.0)):
        inside = offset(ra, dec, rng.uniform(0, 360, 3000), radius * np.sqrt(rng.uniform(0, 1, 3000)))
        assert np.isin(pixel_of(6, *inside), cone(6, ra, dec, radius)).all()
    corners = np.array([10.0, 11.0, 11.0, 10.0]), np.array([5.0, 5.0, 6.0, 6.0])
    near = rng.uniform(9.7, 11.3, 5000), rng.uniform(4.7, 6.3, 5000)
    assert np.isin(pixel_of(9, *near), polygon(9, *corners, margin_deg=0.5)).all()
    assert polygon(9, *corners).size < polygon(9, *corners, margin_deg=0.5).size


def test_pixel_centres_are_in_their_pixels():
    np.testing.assert_array_equal(pixel_of(5, *center_of(5, np.arange(12288))), np.arange(12288))


def test_positions_off_the_sky_are_refused():
    with pytest.raises(InputError, match="nan"):
        pixel_of(5, [1.0, np.nan], [0.0, 0.0])
