import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_dilation

from etendue.kernels.isr import divide_by_response, follow_bleeds, grow_mask


def test_division_by_the_response_agrees_with_the_definition():
    rng = np.random.default_rng(1)
    image, variance = rng.normal(500.0, 300.0, (30, 40)).astype(np.float32), np.full((30, 40), 7.0, np.float32)
    response = rng.uniform(0.5, 1.5, (30, 40)).astype(np.float32)
    want = image / response
    divide_by_response(image, variance, response)
    np.testing.assert_allclose(image, want, rtol=1e-6)
    np.testing.assert_allclose(variance, 7.0 / response.astype(float) ** 2, rtol=1e-6)


def test_pixels_without_response_are_nan():
    image, variance = np.ones((2, 1, 3), dtype=np.float32)
    divide_by_response(image, variance, np.array([[0.0, -1.0, np.nan]], dtype=np.float32))
    assert np.isnan(image).all()
    assert np.isnan(variance).all()


@given(
    mask=arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))),
    rows=st.integers(0, 3),
    cols=st.integers(0, 3),
)
@settings(max_examples=40, deadline=None)
def test_growing_is_a_dilation_by_a_rectangle(mask, rows, cols):
    expected = binary_dilation(mask, np.ones((2 * rows + 1, 2 * cols + 1), bool)) if mask.any() else mask
    assert (grow_mask(mask, rows, cols) == expected).all()


def test_bleeds_are_followed_along_the_column_only():
    image = np.full((9, 5), 100.0, dtype=np.float32)
    image[2:8, 2], image[4, 3] = 900.0, 900.0
    saturated = np.zeros(image.shape, bool)
    saturated[4, 2] = True
    expected = np.zeros(image.shape, bool)
    expected[2:8, 2] = True
    assert (follow_bleeds(saturated, image, 500.0) == expected).all()
