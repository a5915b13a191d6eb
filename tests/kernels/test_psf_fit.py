"""The solution for B-spline coefficients of a PSF, and what stars of one image cannot determine."""

import numpy as np
import pytest

from etendue.kernels.psf import backproject, draw_pixel_basis, normal_product
from etendue.kernels.psf_fit import flattened, normalised, solve_components

SIZE, M = 15, 41
ONE = np.ones((1, 1))


def profile(step, sigma=0.8):
    offset = (np.arange(M) - M // 2) * step
    return normalised(np.exp(-0.5 * (offset**2 + offset[:, None] ** 2) / sigma**2)[None], step)


def modulated(components, step, size=0.05):
    offset = (np.arange(M) - M // 2) * step
    wave = np.cos(2 * np.pi * (offset[:, None] + 0.1)) + np.sin(2 * np.pi * (offset - offset[:, None]))
    return components * (1.0 + size * wave)


def pixel_sums(components, step, terms=ONE):
    phase = (np.arange(6) + 0.5) / 6.0 - 0.5
    dy, dx = (axis.ravel() for axis in np.meshgrid(phase, phase, indexing="ij"))
    return draw_pixel_basis(components, np.repeat(terms, dx.size, axis=0), step, dx, dy, SIZE).sum(axis=(1, 2))


def stars(n, seed=1):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (2, n))


@pytest.mark.parametrize("step", [0.4, 0.5, 0.54])
def test_flattening_makes_pixel_sums_independent_of_the_phase(step):
    wavy = modulated(profile(step), step)
    before, after = np.ptp(pixel_sums(wavy, step)), np.ptp(pixel_sums(flattened(wavy, step), step))
    assert before > 0.005
    assert after < 0.15 * before  # to first order


def test_flattening_reaches_the_spatial_terms():
    mean = profile(0.5)
    components = np.concatenate([mean, modulated(mean, 0.5, 0.05) - mean])
    flat = flattened(components, 0.5)
    for v in (-1.0, 1.0):
        assert np.ptp(pixel_sums(components, 0.5, np.array([[1.0, v]]))) > 0.02
        assert np.ptp(pixel_sums(flat, 0.5, np.array([[1.0, v]]))) < 1e-3


def test_flattening_leaves_a_psf_that_is_flat():
    flat = profile(0.5, sigma=1.2)
    np.testing.assert_allclose(flattened(flat, 0.5), flat, atol=2e-5 * flat.max())


@pytest.mark.parametrize("step", [0.45, 0.54, 0.6, 0.7, 0.76, 1.0])
def test_flattening_keeps_the_core_of_a_psf_on_the_grid_that_its_width_asks_for(step):
    psf = profile(step, sigma=4.0 * step / 2.3548)
    wings = normalised((psf + 0.02 * profile(step, sigma=8.0 * step / 2.3548)), step)
    np.testing.assert_allclose(flattened(wings, step), wings, atol=1e-3 * wings.max())


def test_squared_taps_give_the_diagonal_of_the_normal_equations():
    step, (dx, dy) = 0.5, stars(1)
    weight = np.random.default_rng(2).random((1, SIZE, SIZE))
    diagonal = backproject(weight, step, dx, dy, M, True)[0]
    for k, j in ((20, 20), (18, 23), (5, 30)):
        unit = np.zeros((1, M, M))
        unit[0, k, j] = 1.0
        drawn = draw_pixel_basis(unit, ONE, step, dx, dy, SIZE)
        assert diagonal[k, j] == pytest.approx(float((weight * drawn**2).sum()), rel=1e-12)


def test_the_normal_product_is_drawing_weighting_and_spreading_back():
    rng, n, step = np.random.default_rng(3), 7, 0.6
    dx, dy = stars(n)
    components, terms, weight = rng.normal(size=(3, M, M)), rng.normal(size=(n, 3)), rng.random((n, SIZE, SIZE))
    spread = backproject(weight * draw_pixel_basis(components, terms, step, dx, dy, SIZE), step, dx, dy, M, False)
    expected = np.einsum("st,skl->tkl", terms, spread)
    found = normal_product(components, terms, weight, step, dx, dy)
    np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())


def test_cores_converge_although_their_weights_are_a_thousand_times_smaller():
    step, n = 0.5, 60
    dx, dy = stars(n)
    truth, start = profile(step, 0.8), profile(step, 0.95)
    data = draw_pixel_basis(truth, np.ones((n, 1)), step, dx, dy, SIZE)
    weight = 1e8 / (1.0 + 1e3 * data / data.max())
    found = solve_components(
        data, weight, terms=np.ones((n, 1)), dx=dx, dy=dy, start=start, step=step,
        prior=np.broadcast_to(start.max(), start.shape), iterations=30,
    )  # fmt: skip
    drawn = draw_pixel_basis(found, np.ones((n, 1)), step, dx, dy, SIZE)
    assert np.abs(drawn - data).max() < 2e-3 * data.max()
