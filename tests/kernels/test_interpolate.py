import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.kernels.interpolate import interpolate_bad

PLANE = (3.0 + 2.0 * np.arange(40)[:, None] + 5.0 * np.arange(50)).astype(np.float32)


def _interpolate(image, bad, reach=16):
    image, variance = image.copy(), image.copy()
    done = interpolate_bad(image, variance, bad, reach)
    return image, variance, done


@given(y=st.integers(1, 38), x=st.integers(1, 48), height=st.integers(1, 6), width=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_a_tilted_plane_is_restored(y, x, height, width):
    bad = np.zeros(PLANE.shape, bool)
    bad[y : min(y + height, 39), x : min(x + width, 49)] = True
    image, variance, done = _interpolate(np.where(bad, np.float32(1e30), PLANE), bad)
    assert (done == bad).all()
    np.testing.assert_allclose(image, PLANE, rtol=1e-5)
    np.testing.assert_allclose(variance, PLANE, rtol=1e-5)


def test_a_bad_column_is_bridged_along_the_rows():
    rng = np.random.default_rng(1)
    image = rng.normal(0.0, 1.0, (60, 21)).astype(np.float32)
    bad = np.zeros(image.shape, bool)
    bad[:, 10] = True
    filled, _, done = _interpolate(image, bad)
    np.testing.assert_allclose(filled[:, 10], 0.5 * (image[:, 9] + image[:, 11]), rtol=1e-5, atol=1e-6)
    assert done[:, 10].all()


def test_pixels_without_good_neighbours_on_both_sides_are_left():
    bad = np.zeros(PLANE.shape, bool)
    bad[:3, :3] = True
    image, _, done = _interpolate(PLANE + np.float32(7.0) * bad, bad)
    assert not done.any()
    assert (image[bad] == PLANE[bad] + 7.0).all()


def test_bad_values_are_never_read():
    bad = np.zeros(PLANE.shape, bool)
    bad[10:14, 20:24] = True
    image, _, done = _interpolate(np.where(bad, np.float32(np.nan), PLANE), bad)
    assert np.isfinite(image).all()
    assert (done == bad).all()
