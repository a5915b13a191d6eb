import numpy as np
import pytest

from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.image import Image
from etendue.image.mask import Mask

BOX = Box.from_shape((4, 6), y0=10, x0=20)


def test_subsets_are_views_in_parent_coordinates():
    image = Image(np.arange(24, dtype=np.float32).reshape(4, 6), BOX)
    part = image.subset(Box.from_list([11, 13, 22, 25]))
    assert part.array.tolist() == [[8, 9, 10], [14, 15, 16]]
    assert part.array.base is image.array.base or part.array.base is image.array
    with pytest.raises(InputError, match="is not inside"):
        image.subset(BOX.dilated(1))


def test_array_and_box_must_agree():
    with pytest.raises(InputError, match=r"\(4, 5\).*\(4, 6\)"):
        Image(np.zeros((4, 5)), BOX)
    with pytest.raises(InputError, match=r"\(4,\)"):
        Mask(np.zeros(4))


def test_pixels_become_native_float32():
    assert Image(np.zeros((2, 2), dtype=">f8")).array.dtype == np.dtype("=f4")


def test_hash_ignores_byte_order_and_the_kind_of_nan_only():
    values = np.array([[1.0, np.nan], [3.0, -0.0]], dtype=np.float32)
    other_nan = values.copy()
    other_nan.view(np.uint32)[0, 1] |= 0x80000001
    assert Image(values).content_hash() == Image(other_nan).content_hash()
    assert Image(values).content_hash() != Image(np.abs(values)).content_hash()
    assert Image(values).content_hash() != Image(values, Box.from_shape((2, 2), y0=1)).content_hash()


def test_planes_are_set_counted_and_cleared():
    where = np.eye(4, 6, dtype=bool)
    mask = Mask.empty(BOX).with_plane("SAT", where).with_plane("CR", ~where)
    assert mask.count("SAT") == 4
    assert mask.any_of(["SAT", "CR"]).all()
    assert not mask.any_of("BAD").any()
    assert mask.without_plane("CR").array.max() == 2
    assert not mask.any_of([]).any()
    own = mask.copy()
    own.set_plane("BAD", True)
    assert (own.count("BAD"), mask.count("BAD")) == (24, 0)


def test_unknown_planes_are_named():
    with pytest.raises(InputError, match="STAR"):
        Mask.empty(BOX).any_of(["STAR"])
    with pytest.raises(InputError, match=r"\(3, 3\).*\(4, 6\)"):
        Mask.empty(BOX).with_plane("BAD", np.ones((3, 3)))


def test_exposure_planes_must_cover_one_box():
    image, mask = Image.full(BOX), Mask.empty(BOX)
    with pytest.raises(InputError, match=r"variance covers \[9, 15, 19, 27\], image covers \[10, 14, 20, 26\]"):
        Exposure(image=image, mask=mask, variance=Image.full(BOX.dilated(1)))
    with pytest.raises(InputError, match="parsec"):
        Exposure(image=image, mask=mask, variance=image, unit="parsec")


def test_parts_are_shared_by_subsets_and_replacements():
    exposure = Exposure(
        image=Image.full(BOX, 1.0), mask=Mask.empty(BOX), variance=Image.full(BOX, 2.0), metadata={"a": 1}
    )
    part = exposure.subset(Box.from_list([11, 12, 21, 24])).replace(band="g")
    assert part.bbox.shape == (1, 3)
    assert part.metadata is exposure.metadata
    assert part.variance.array.tolist() == [[2.0, 2.0, 2.0]]
    assert exposure.band == ""
