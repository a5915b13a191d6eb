"""The solution for B-spline coefficients of a PSF, and what stars of one image cannot determine."""

import numpy as np
import pytest

from etendue.kernels.psf import backproject, draw_pixel_basis, normal_product
from etendue.kernels.psf_fit import (
    Wings,
    flattened,
    light_beyond,
    normalised,
    ring_profile,
    solve_components,
    with_wings,
)

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


def _stars_with_wings(rng, sky, n=120, half=40):
    """Stamps of unit flux whose wings fall with the power 4 from 10 px on, on a sky that is wrong by ``sky``."""
    row, column = np.indices((2 * half + 1, 2 * half + 1)) - half
    radius = np.hypot(row, column)
    profile = 2e-5 * (np.maximum(radius, 10.0) / 10.0) ** -4.0 + 0.04 * np.exp(-0.5 * (radius / 2.0) ** 2)
    flux = 10 ** rng.uniform(4.0, 6.0, n)
    noise = 5.0 / flux[:, None, None]
    data = profile + sky / flux[:, None, None] + rng.normal(size=(n, *radius.shape)) * noise
    data[::10, 60:75, 60:75] += 300.0 / flux[::10, None, None]  # neighbours
    return data, np.broadcast_to(noise**-2.0, data.shape), flux


@pytest.mark.parametrize("sky", [0.0, 0.4, -0.4])
def test_wings_are_told_from_what_is_left_of_the_sky(sky):
    data, weight, flux = _stars_with_wings(np.random.default_rng(7), sky)
    wings = ring_profile(data, weight, flux, 10.0)
    assert wings.sky == pytest.approx(sky, abs=0.06)
    assert wings.slope == pytest.approx(4.0, abs=0.3)
    np.testing.assert_allclose(wings.profile[12:21], 2e-5 * (np.arange(12, 21) / 10.0) ** -4.0, rtol=0.1)


def test_neighbours_of_every_star_do_not_make_its_wings_brighter():
    rng = np.random.default_rng(8)
    data, weight, flux = _stars_with_wings(rng, 0.0)
    profiles = [ring_profile(data, weight, flux, 10.0).profile]
    for star, (y, x) in zip(data, rng.integers(0, 71, (flux.size, 2)), strict=True):
        star[y : y + 10, x : x + 10] += 1e-5 * (
            max(abs(y - 35), abs(x - 35)) > 18
        )  # half as bright as the wings at 10 px
    profiles.append(ring_profile(data, weight, flux, 10.0).profile)
    np.testing.assert_allclose(profiles[1][12:21], profiles[0][12:21], rtol=0.02)


def test_light_beyond_the_last_ring_goes_on_to_infinity():
    profile = 3e-5 * np.maximum(np.arange(31.0), 1.0) ** -1.0
    wings = Wings(profile, 3.0, 0.0)
    radius = np.linspace(30.5, 30_000.0, 2_000_000)
    expected = np.trapezoid(2.0 * np.pi * radius * profile[-1] * (radius / 30.5) ** -3.0, radius)
    assert light_beyond(wings) == pytest.approx(expected, rel=2e-3)


def test_the_grid_goes_over_into_the_wings_and_its_spatial_terms_end():
    components = np.random.default_rng(3).normal(size=(3, 61, 61))
    wings = Wings(1e-3 * np.maximum(np.arange(31.0), 1.0) ** -3.0, 3.0, 0.0)
    found = with_wings(components, wings, step=1.0, inner=9.0, outer=12.0)
    radius = np.hypot(*(np.indices((61, 61)) - 30))
    np.testing.assert_array_equal(found[:, radius <= 9.0], components[:, radius <= 9.0])
    assert (found[1:, radius >= 12.0] == 0.0).all()
    assert found[0, 30, 50] == pytest.approx(1e-3 * 20.0**-3.0)
