import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.tasks.warp.mosaic import mosaic

SHAPE = (6, 8)


def exposure(value, missing, *, x0=0, **parts):
    box = Box.from_shape(SHAPE, x0=x0)
    mask = Mask.empty(box).with_plane("NO_DATA", missing).with_plane("SAT", ~missing & (value == 2))
    pixels = np.where(missing, np.nan, value).astype(np.float32)
    return Exposure(image=Image(pixels, box), mask=mask, variance=Image(10 * pixels, box), **parts)


@given(st.lists(st.integers(0, 2**48 - 1), min_size=1, max_size=4))
def test_every_pixel_is_that_of_the_first_exposure_with_data(patterns):
    holes = [((p >> np.arange(48)) & 1).astype(bool).reshape(SHAPE) for p in patterns]
    together = mosaic([exposure(k + 1, missing) for k, missing in enumerate(holes)])
    expected = np.full(SHAPE, np.nan)
    for k in reversed(range(len(holes))):
        expected[~holes[k]] = k + 1
    np.testing.assert_array_equal(together.image.array, expected)
    np.testing.assert_array_equal(together.variance.array, 10 * expected)
    np.testing.assert_array_equal(together.mask.any_of(("NO_DATA",)), np.isnan(expected))
    np.testing.assert_array_equal(together.mask.any_of(("SAT",)), expected == 2)


def test_the_other_parts_are_those_of_the_first_and_no_input_changes():
    left = np.zeros(SHAPE, bool)
    left[:, :4] = True
    first, second = exposure(1, left, band="r"), exposure(2, ~left, band="g")
    before = first.content_hash()
    assert mosaic([first, second]).band == "r"
    assert first.content_hash() == before
    assert mosaic([first]) is first


def test_nothing_and_different_boxes_are_refused():
    whole = np.zeros(SHAPE, bool)
    with pytest.raises(InputError, match="nothing"):
        mosaic([])
    with pytest.raises(InputError, match="boxes differ"):
        mosaic([exposure(1, whole), exposure(2, whole, x0=1)])
