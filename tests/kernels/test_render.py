"""Rendered Gaussians agree with their definition."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.kernels.render import add_gaussians


def gaussian(shape: tuple[int, int], x: float, y: float, flux: float, ixx: float, iyy: float, ixy: float) -> np.ndarray:
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    d = np.stack([cols - x, rows - y])
    inverse = np.linalg.inv([[ixx, ixy], [ixy, iyy]])
    exponent = np.einsum("iab,ij,jab->ab", d, inverse, d)
    return flux * np.sqrt(np.linalg.det(inverse)) / (2 * np.pi) * np.exp(-0.5 * exponent)


def test_gaussians_agree_with_the_definition_down_to_the_floor() -> None:
    image = np.zeros((41, 51))
    parameters = [
        (20.3, 25.1, 1000.0, 4.0, 2.0, 0.7),
        (48.0, 3.0, 500.0, 1.5, 3.0, -0.4),
        (-3.0, 20.0, 400.0, 9.0, 9.0, 0.0),
    ]
    columns = [np.array(column) for column in zip(*parameters, strict=True)]
    add_gaussians(image, *columns, 1e-3)
    expected = sum(gaussian(image.shape, *row) for row in parameters)
    assert np.abs(image - expected).max() < len(parameters) * 1e-3
    np.testing.assert_allclose(image[20:30, 15:25], expected[20:30, 15:25], atol=1e-3)


@settings(deadline=None)
@given(x=st.floats(28.0, 36.0), y=st.floats(28.0, 36.0), ixx=st.floats(0.7, 12.0), e=st.floats(-0.4, 0.4))
def test_the_integral_is_the_flux(x: float, y: float, ixx: float, e: float) -> None:
    image = np.zeros((64, 64))
    one = np.ones(1)
    add_gaussians(image, x * one, y * one, 1e5 * one, ixx * one, ixx * one, e * ixx * one, 1e-4)
    assert abs(image.sum() / 1e5 - 1.0) < 2e-4
