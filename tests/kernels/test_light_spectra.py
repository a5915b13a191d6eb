"""Transforms of lights and coarse grids agree with their definitions."""

import numpy as np
import pytest
from scipy.interpolate import BSpline

from etendue.kernels.coarse_grid import deposit, spread
from etendue.kernels.light_spectra import EXPONENTIAL, add_stamps, light_spectra
from etendue.kernels.psf_shape import psf_moments

STEEPNESS = 16.0


def gaussian_table() -> np.ndarray:
    """Five equal rows: exp(-kappa**2 / 4) over 1 + STEEPNESS kappa**2."""
    octave, part = np.divmod(np.arange(20 * 64 + 1), 64)
    square = (2.0**octave * (1 + part / 64) - 1) / STEEPNESS
    return np.tile(np.exp(-square / 4), (5, 1)).astype(np.float32)


@pytest.mark.parametrize("half", [6, 11])
def test_spectra_agree_with_the_definition(half: int) -> None:
    """With fewer wavenumbers than the stamp has, and with more, which are folded back."""
    rng, size, cell = np.random.default_rng(3), 16, 2.0
    psf = rng.normal(size=(3, 2, 2 * half + 1, half + 1)).astype(np.float32)
    psf[:, :, :half, 0] = psf[:, :, :half:-1, 0] * np.array([1, -1])[None, :, None]  # a real PSF
    psf[:, 1, half, 0] = 0.0
    rows, weights = np.array([[0, 2]]), np.array([[0.3, 0.7]], np.float32)
    part = np.array([[0.4, 1.0, -2.0, 3.0, 2.0, 0.5], [0.6, 0.0, 0.0, 0.0, 0.0, 0.0]])
    out = np.empty((1, size, size // 2 + 1), np.complex64)
    vector = lambda value: np.array([value])  # noqa: E731
    light_spectra(
        out, psf, rows, weights, vector(5.0), vector(8.3), vector(7.6), vector(1.5), vector(-0.5), vector(0), vector(2),
        part, np.zeros(2, np.int64), np.tile(np.array([0, 1, 0, 0], np.float32), (2, 1)), gaussian_table(), STEEPNESS,
        cell,
    )  # fmt: skip
    expected = np.zeros((size, size), complex)
    complex_psf = 0.3 * (psf[0, 0] + 1j * psf[0, 1]) + 0.7 * (psf[2, 0] + 1j * psf[2, 1])
    for row in range(-half, half + 1):
        for column in range(-half, half + 1):
            k = 2 * np.pi / size * np.array([column, row])  # x, y
            table = complex_psf[half + row, column] if column >= 0 else np.conj(complex_psf[half - row, -column])
            matrix = np.array([[3.0, 0.5], [0.5, 2.0]]) / cell**2
            shape = 0.4 * np.exp(-1j * k @ [1.0, -2.0] / cell - k @ matrix @ k / 4) + 0.6
            trail = np.sinc(k @ [1.5, -0.5] / (2 * np.pi))
            expected[row % size, column % size] += 5.0 * np.exp(-1j * k @ [8.3, 7.6]) * trail * table * shape
    np.testing.assert_allclose(out[0], expected[:, : size // 2 + 1], atol=2e-3 * np.abs(expected).max())
    np.testing.assert_allclose(
        np.fft.irfft2(out[0], s=(size, size)), np.fft.ifft2(expected).real, atol=1e-3 * np.abs(expected).max() / size
    )


def test_exponentials_need_no_table() -> None:
    size, half = 16, 7
    psf = np.zeros((1, 2, 2 * half + 1, half + 1), np.float32)
    psf[:, 0] = 1.0
    one = lambda value: np.array([value])  # noqa: E731
    out = np.empty((1, size, size // 2 + 1), np.complex64)
    light_spectra(
        out, psf, np.zeros((1, 1), np.int64), np.ones((1, 1), np.float32), one(2.0), one(0.0), one(0.0), one(0.0),
        one(0.0), one(0), one(1), np.array([[1.0, 0.0, 0.0, 3.0, 2.0, 0.5]]), one(EXPONENTIAL),
        np.full((1, 4), 0.7, np.float32), gaussian_table(), STEEPNESS, 1.0,
    )  # fmt: skip
    ky, kx = np.meshgrid(*(2 * np.pi / size * np.arange(n) for n in (half + 1, half + 1)), indexing="ij")
    expected = 2.0 * (1.0 + 0.7 * (3.0 * kx**2 + 2.0 * ky**2 + kx * ky)) ** -1.5
    np.testing.assert_allclose(out[0, : half + 1, : half + 1], expected, rtol=1e-5)


def test_stamps_are_cut_at_the_edges() -> None:
    image = np.zeros((4, 5), np.float32)
    stamps = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    add_stamps(image, stamps, np.array([-1, 3]), np.array([2, -5]))
    expected = np.zeros((4, 5))
    expected[2:4, 0:2] = stamps[0, 0:2, 1:3]
    np.testing.assert_array_equal(image, expected)


def test_deposits_keep_sum_and_place() -> None:
    grid = np.zeros((12, 14), np.float32)
    deposit(grid, np.array([5.3, -8.0]), np.array([6.8, 3.0]), np.array([2.0, 9.0]))
    rows, columns = np.mgrid[:12, :14]
    assert grid.sum() == pytest.approx(2.0, rel=1e-6)
    assert (grid * columns).sum() / 2 == pytest.approx(5.3, rel=1e-5)
    assert (grid * rows).sum() / 2 == pytest.approx(6.8, rel=1e-5)


@pytest.mark.parametrize(("cell", "shape"), [(4, (17, 22)), (16, (40, 33))])
def test_spread_is_the_quintic_spline(cell: int, shape: tuple[int, int]) -> None:
    margin = 3
    coefficients = np.random.default_rng(4).normal(size=[-(-n // cell) + 2 * margin for n in shape]).astype(np.float32)
    image = np.zeros(shape, np.float32)
    spread(image, coefficients, cell, margin)
    spline = BSpline.basis_element(np.arange(-3.0, 4.0), extrapolate=False)
    along = [
        np.nan_to_num(spline(np.arange(n)[:, None] / cell + margin - np.arange(m)))
        for n, m in zip(shape, coefficients.shape, strict=True)
    ]
    np.testing.assert_allclose(image, along[0] @ coefficients @ along[1].T, atol=1e-5)


def test_moments_of_a_gaussian_are_its_covariance() -> None:
    covariance = np.array([[6.0, 1.5], [1.5, 4.0]])
    u, v = np.meshgrid(np.arange(64) - 32.3, np.arange(64) - 31.8)
    d = np.stack([u, v])
    image = np.exp(-0.5 * np.einsum("iab,ij,jab->ab", d, np.linalg.inv(covariance), d))
    found = psf_moments(np.stack([image, np.zeros((64, 64))]).astype(np.float32), 2.0)
    np.testing.assert_allclose([moment[0] for moment in found], [6.0, 4.0, 1.5], rtol=1e-4)
    assert all(np.isnan(moment[1]) for moment in found)
