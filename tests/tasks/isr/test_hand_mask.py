"""Regions drawn by hand mask the pixels that they hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.camera.frame_override import Region
from etendue.errors import AlgorithmError
from etendue.geom.box import Box
from etendue.geom.sky_wcs import SkyWcs
from etendue.tasks.isr.hand_mask import hand_mask

BOX = Box.from_shape((60, 80))
SCALE = 0.5
WCS = SkyWcs.tan(crpix_x=40.0, crpix_y=30.0, crval_ra_deg=150.0, crval_dec_deg=2.0,
                 cd=np.diag([-SCALE, SCALE]) / 3600.0)  # fmt: skip


def masked(plane: str = "BAD", **shape: object) -> np.ndarray:
    return hand_mask([Region.model_validate({"plane": plane, **shape})], BOX, WCS).any_of(plane)


def test_a_section_counts_from_one() -> None:
    inside = masked(box="[3:5,10:10]")
    assert list(map(tuple, np.argwhere(inside))) == [(9, 2), (9, 3), (9, 4)]


@given(x=st.floats(-20, 100), y=st.floats(-20, 80), radius=st.floats(0.5, 40))
def test_a_circle_holds_the_centres_within_its_radius(x: float, y: float, radius: float) -> None:
    inside = masked(circle=(x, y, radius))
    rows, columns = np.indices(BOX.shape)
    np.testing.assert_array_equal(inside, np.hypot(columns + 1 - x, rows + 1 - y) <= radius)


def test_a_polygon_holds_what_is_inside() -> None:
    inside = masked(polygon=[[10.5, 10.5], [20.5, 10.5], [20.5, 30.5], [10.5, 30.5]])
    np.testing.assert_array_equal(inside, masked(box="[11:20,11:30]"))


def test_places_on_the_sky_are_found_by_the_wcs() -> None:
    circle, same = masked(sky_circle=(150.0, 2.0, 5.0)), masked(circle=(41.0, 31.0, 10.0))
    assert np.count_nonzero(circle != same) <= 12  # pixels whose centre lies on the edge
    box = masked(sky_box=(150.0, 2.0, 10.2, 5.2))
    np.testing.assert_array_equal(box, masked(box="[31:51,26:36]"))
    ra, dec = WCS.pixel_to_sky(x=np.array([9.5, 29.5, 29.5, 9.5]), y=np.array([9.5, 9.5, 19.5, 19.5]))
    polygon = masked(sky_polygon=np.stack([ra, dec], axis=1).tolist())
    np.testing.assert_array_equal(polygon, masked(box="[11:30,11:20]"))


def test_the_far_side_of_the_sky_masks_nothing() -> None:
    assert not masked(sky_circle=(330.0, -2.0, 50.0)).any()


def test_the_plane_is_the_one_asked_for() -> None:
    mask = hand_mask([Region.model_validate({"box": "[1:2,1:2]", "plane": "SUSPECT"})], BOX, None)
    assert mask.count("SUSPECT") == 4
    assert mask.count("BAD") == 0


def test_a_region_on_the_sky_needs_a_wcs() -> None:
    with pytest.raises(AlgorithmError, match="needs a WCS"):
        hand_mask([Region.model_validate({"sky_circle": (1.0, 2.0, 3.0)})], BOX, None)
