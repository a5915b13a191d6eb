import numpy as np
import pytest

from etendue.kernels.cosmicray import N_SHAPES, SHAPE_TABLE, find_cosmic_rays, sharpness_bounds

SKY, SIZE = 400.0, 400


def _gaussian(y, x, y0, x0, sigma):
    return np.exp(-((y - y0) ** 2 + (x - x0) ** 2) / (2.0 * sigma**2))


def _bounds(sigma, safety=0.7):
    y, x = np.mgrid[-4:5, -4:5]
    phases = np.linspace(-0.5, 0.5, 7)
    stamps = np.array([_gaussian(y, x, dy, dx, sigma) for dy in phases for dx in phases])
    return safety * sharpness_bounds(stamps, SHAPE_TABLE, N_SHAPES, 0.1)


def _find(electrons, sigma, seed=1, excluded=None):
    rng = np.random.default_rng(seed)
    image = (rng.poisson(electrons + SKY) - SKY).astype(np.float32)
    variance = np.maximum(image + SKY, 1.0).astype(np.float32)
    excluded = np.zeros(image.shape, bool) if excluded is None else excluded
    return find_cosmic_rays(image, variance, excluded, SHAPE_TABLE, _bounds(sigma), 1, 1, 4.5, 3.0, 3.0, 2.5, 0.08, 3)


def _stars(sigma, seed=2):
    """Stars of S/N 20 to 1000 on a grid, at random sub-pixel positions."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    electrons = np.zeros((SIZE, SIZE))
    for row in range(20, SIZE - 20, 24):
        for col in range(20, SIZE - 20, 24):
            dy, dx = rng.uniform(-0.5, 0.5, 2)
            stamp = slice(row - 9, row + 10), slice(col - 9, col + 10)
            flux = 10.0 ** rng.uniform(2.7, 6.0)
            shape = _gaussian(y[stamp], x[stamp], row + dy, col + dx, sigma)
            electrons[stamp] += flux * shape / (2.0 * np.pi * sigma**2)
    return electrons


@pytest.mark.parametrize("fwhm", [1.5, 1.8, 2.4, 4.0])
def test_no_star_is_touched(fwhm):
    assert _find(_stars(fwhm / 2.3548), fwhm / 2.3548).sum() == 0


@pytest.mark.parametrize("fwhm", [1.5, 2.1, 4.0])
def test_blends_and_galaxies_are_not_touched(fwhm):
    sigma = fwhm / 2.3548
    blend = _stars(sigma) + np.roll(_stars(sigma), (1, 2), (0, 1)) + _stars(2.0 * sigma, seed=5)
    assert _find(blend, sigma).sum() == 0


@pytest.mark.parametrize(("fwhm", "snr"), [(1.5, 20.0), (2.1, 12.0)])
def test_single_pixel_hits_are_found(fwhm, snr):
    electrons = np.zeros((SIZE, SIZE))
    charge = 0.5 * (snr**2 + snr * (snr**2 + 4.0 * SKY) ** 0.5)
    electrons[20::24, 20::24][:15, :15] = charge
    found = _find(electrons, fwhm / 2.3548)
    assert found[20::24, 20::24][:15, :15].mean() > 0.97
    assert (found & (electrons == 0.0)).sum() < 5


def test_tracks_are_found_whole():
    electrons = np.zeros((SIZE, SIZE))
    rng = np.random.default_rng(3)
    for row in range(30, SIZE - 30, 40):
        for col in range(30, SIZE - 30, 40):
            angle, length = rng.uniform(0.0, np.pi), rng.integers(3, 15)
            for step in range(length):
                y, x = row + round(step * np.sin(angle)), col + round(step * np.cos(angle))
                electrons[y, x] = 600.0
    found = _find(electrons, 2.1 / 2.3548)
    assert found[electrons > 0.0].mean() > 0.95
    assert (found & (electrons == 0.0)).sum() < 0.05 * found.sum()


def test_a_hit_on_a_star_is_found_and_costs_few_star_pixels():
    stars = _stars(0.9)
    electrons = stars.copy()
    electrons[20:-20:24, 22:-18:24] += 20000.0
    found = _find(electrons, 0.9)
    hit = electrons > stars
    assert found[hit].mean() > 0.9
    assert (found & ~hit).sum() < 0.45 * hit.sum()


def test_excluded_and_nan_pixels_are_never_flagged():
    electrons = np.zeros((SIZE, SIZE))
    electrons[50::50, 50::50] = 5000.0
    assert _find(electrons, 0.9, excluded=electrons > 0.0).sum() == 0
    nan = np.full((20, 20), np.nan, dtype=np.float32)
    none = np.zeros(nan.shape, bool)
    assert find_cosmic_rays(nan, nan, none, SHAPE_TABLE, _bounds(1.0), 1, 1, 4.5, 3.0, 3.0, 2.5, 0.08, 3).sum() == 0


def test_noise_is_not_flagged():
    assert _find(np.zeros((SIZE, SIZE)), 0.9).sum() <= 1
