import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.errors import InputError
from etendue.geom.polynomial import Polynomial2D
from etendue.image.photo_calib import PhotoCalib

SCALES = st.floats(1e-3, 1e3)
SMOOTH = {"spatial": Polynomial2D([[1.0, 0.1], [0.2, 0.0]]), "center": (50.0, 60.0), "half_size": 100.0}
KINDS = st.sampled_from(["absolute", "relative"])


@given(first=SCALES, second=SCALES, x=st.floats(0, 200), y=st.floats(0, 200))
def test_a_product_scales_as_both_one_after_the_other(first, second, x, y):
    for one, other in (({}, SMOOTH), (SMOOTH, {}), ({}, {})):
        a, b = PhotoCalib(scale=first, **one), PhotoCalib(scale=second, **other)
        expected = a.scale_at(x=x, y=y) * b.scale_at(x=x, y=y)
        np.testing.assert_allclose(a.times(b).scale_at(x=x, y=y), expected, rtol=1e-12)


@given(first=KINDS, second=KINDS)
def test_a_product_is_absolute_if_either_is(first, second):
    product = PhotoCalib(scale=1.0, kind=first).times(PhotoCalib(scale=1.0, kind=second))
    assert (product.kind == "absolute") == ("absolute" in (first, second))


def test_errors_of_scales_add_in_quadrature_unless_the_second_is_absolute():
    first = PhotoCalib(scale=2.0, scale_err=0.06)
    relative = PhotoCalib(scale=5.0, scale_err=0.2)
    assert first.times(relative).scale_err == pytest.approx(10.0 * np.hypot(0.03, 0.04))
    absolute = PhotoCalib(scale=5.0, scale_err=0.2, kind="absolute")
    assert first.times(absolute).scale_err == pytest.approx(10.0 * 0.04)


def test_two_scales_that_vary_cannot_be_combined():
    with pytest.raises(InputError, match="both vary"):
        PhotoCalib(scale=1.0, **SMOOTH).times(PhotoCalib(scale=1.0, **SMOOTH))
