import numpy as np
import pytest
from scipy import ndimage

from etendue.kernels.diffim import chebyshev_terms, convolve, find_isolated_peaks, gaussian_basis, stamp_equations


def test_convolution_agrees_with_scipy():
    rng = np.random.default_rng(1)
    image = rng.normal(size=(40, 53)).astype(np.float32)
    kernel = rng.normal(size=(7, 7)).astype(np.float32)
    expected = ndimage.convolve(image, kernel, mode="constant")
    np.testing.assert_allclose(convolve(image, kernel), expected, atol=2e-5)


def test_convolution_takes_kernels_larger_than_the_image():
    image = np.ones((3, 4), np.float32)
    kernel = np.ones((11, 11), np.float32)
    np.testing.assert_allclose(convolve(image, kernel), 12.0)


def test_only_the_first_basis_kernel_changes_the_flux():
    basis = gaussian_basis((0.5, 1.0, 2.0), (4, 2, 2), 7)
    assert basis.shape == (27, 15, 15)
    np.testing.assert_allclose(basis.sum(axis=(1, 2)), np.eye(27)[0], atol=1e-12)
    assert np.linalg.matrix_rank(basis.reshape(27, -1)) == 27


def test_chebyshev_terms_are_products_of_polynomials():
    x, y = np.array([0.3]), np.array([-0.7])
    expected = [1.0, x[0], y[0], 2 * x[0] ** 2 - 1, x[0] * y[0], 2 * y[0] ** 2 - 1]
    np.testing.assert_allclose(chebyshev_terms(x, y, 2)[:, 0], expected)


def test_peaks_are_isolated_clean_and_in_range():
    snr = np.zeros((60, 60), np.float32)
    for y, x, value in [(20, 20, 50.0), (20, 24, 40.0), (45, 20, 30.0), (45, 45, 9.0), (20, 45, 60.0), (2, 2, 50.0)]:
        snr[y, x] = value
    bad = np.zeros(snr.shape, np.bool_)
    bad[47, 22] = True
    x, y = find_isolated_peaks(snr, bad, 10.0, 100.0, 5)
    assert list(zip(x.tolist(), y.tolist(), strict=True)) == [(20, 20), (45, 20)]


def test_stamp_equations_agree_with_the_definition():
    rng = np.random.default_rng(2)
    source, target = rng.normal(size=(2, 50, 50)).astype(np.float32)
    weight = rng.uniform(0.5, 1.0, size=(50, 50)).astype(np.float32)
    basis = gaussian_basis((0.7, 1.4), (2, 1), 4)
    x, y, half = np.array([22]), np.array([26]), 6
    matrix, vector, square = stamp_equations(source, target, weight, x, y, basis, half)
    cut = np.s_[20:33, 16:29]
    columns = [ndimage.convolve(source.astype(float), kernel, mode="constant")[cut].ravel() for kernel in basis]
    design = np.stack([*columns, np.ones(169)], axis=1)
    w, t = weight[cut].ravel(), target[cut].ravel()
    np.testing.assert_allclose(matrix[0], design.T @ (w[:, None] * design), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(vector[0], design.T @ (w * t), rtol=1e-4, atol=1e-4)
    assert square[0] == pytest.approx(np.sum(w * t * t), rel=1e-5)
