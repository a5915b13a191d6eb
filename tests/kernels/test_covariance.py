import numpy as np
import pytest
from scipy.stats import norm

from etendue.kernels.covariance import cell_moments, lagged_products, moments_within, truncated_variance


def slow_products(residual, lag):
    """Products over the offsets, one pair of pixels after another."""
    ny, nx = residual.shape
    out = np.zeros((lag + 1, lag + 1))
    for j in range(lag + 1):
        for i in range(lag + 1):
            for sign in {1, -1} if i > 0 and j > 0 else {1}:
                for y in range(ny - j):
                    for x in range(nx):
                        if 0 <= x + sign * i < nx:
                            out[j, i] += residual[y, x] * residual[y + j, x + sign * i]
    return out


@pytest.mark.parametrize("shape", [(13, 17), (3, 9), (9, 2)])
def test_products_agree_with_the_definition(shape):
    rng = np.random.default_rng(1)
    weight = (rng.random(shape) > 0.2).astype(np.float32)
    residual = rng.normal(size=shape).astype(np.float32) * weight
    products, pairs = lagged_products(residual, weight, 4)
    np.testing.assert_allclose(products, slow_products(residual.astype(float), 4), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(pairs, slow_products(weight.astype(float), 4), rtol=1e-6)


def test_covariances_of_a_moving_average_are_those_of_theory():
    noise = np.random.default_rng(2).normal(size=(401, 402)).astype(np.float32)
    residual = noise[1:, 2:] + np.float32(0.5) * noise[:-1, 2:] + np.float32(0.25) * noise[1:, 1:-1]
    products, pairs = lagged_products(np.ascontiguousarray(residual), np.ones_like(residual), 3)
    expected = np.zeros((4, 4))
    expected[0, 0], expected[1, 0], expected[0, 1], expected[1, 1] = 1.3125, 0.5, 0.25, 0.125 / 2  # one diagonal only
    np.testing.assert_allclose(products / pairs, expected, atol=5.0 * 1.4 * 1.3125 / 400.0)


@pytest.mark.parametrize("clip", [2.5, 4.0])
def test_clipping_takes_what_is_given_back(clip):
    x = np.linspace(-clip, clip, 200_001)
    inside = norm.cdf(clip) - norm.cdf(-clip)
    assert truncated_variance(clip) == pytest.approx(np.trapezoid(x * x * norm.pdf(x), x) / inside, rel=1e-8)


def test_moments_leave_out_what_is_far_and_what_is_no_number():
    values = np.array([[1.0, 2.0, 3.0], [np.nan, 100.0, 2.0]], np.float32)
    assert moments_within(values, 2.0, 5.0) == (4.0, 2.0, 0.5)
    assert np.isnan(moments_within(values, 50.0, 1.0)[1])


def test_cells_have_their_own_moments():
    rng = np.random.default_rng(3)
    signal, residual = (rng.normal(size=(9, 13)).astype(np.float32) for _ in range(2))
    signal[0, 0], residual[5, 5], residual[4:8, 8:12] = np.nan, 99.0, np.nan
    cells = cell_moments(signal, residual, 10.0, 4)
    assert cells.shape == (3, 2, 3)
    assert cells[0].tolist() == [[15.0, 16.0, 16.0], [16.0, 15.0, 0.0]]
    assert cells[1, 0, 1] == pytest.approx(signal[:4, 4:8].mean(), rel=1e-5)
    assert cells[2, 0, 1] == pytest.approx(np.mean(residual[:4, 4:8] ** 2), rel=1e-5)
    assert np.isnan(cells[1:, 1, 2]).all()
