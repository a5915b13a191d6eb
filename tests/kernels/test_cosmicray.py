from functools import cache

import numpy as np
import pytest

from etendue.kernels.cosmicray import TRACES, find_traces, trace_filters
from etendue.kernels.scene_fit import acquit_stars, bright_peaks, flag_strange_peaks, grow_strange, scene_columns

SKY, SIZE = 400.0, 400


def _gaussian(y, x, y0, x0, sigma):
    return np.exp(-((y - y0) ** 2 + (x - x0) ** 2) / (2.0 * sigma**2))


def _stamps(sigma, phases=5):
    y, x = np.mgrid[-8:9, -8:9]
    offsets = (np.arange(phases) + 0.5) / phases - 0.5
    return np.array([_gaussian(y, x, dy, dx, sigma) for dy in offsets for dx in offsets])


@cache
def _filters(sigma):
    return trace_filters(_stamps(sigma))[np.newaxis], scene_columns(_stamps(sigma))[np.newaxis]


def _find(electrons, sigma, seed=1, excluded=None):
    rng = np.random.default_rng(seed)
    image = (rng.poisson(electrons + SKY) - SKY).astype(np.float32)
    variance = np.maximum(image + SKY, 1.0).astype(np.float32)
    excluded = np.zeros(image.shape, bool) if excluded is None else excluded
    return _flags(image, variance, excluded, sigma)


def _flags(image, variance, excluded, sigma):
    filters, columns = _filters(sigma)
    flagged = np.zeros(image.shape, bool)
    frame = image, variance, excluded
    find_traces(*frame, filters, TRACES, 1, 1, 4.5, 4.3, 3.0, 0.2, flagged)
    acquit_stars(*frame, columns, 1, 1, 3.0, 0.25, 2.0, 0.03, flagged)
    peaks = bright_peaks(*frame, 8.0)
    flag_strange_peaks(*frame, columns, 1, 1, peaks, 8.0, 3.0, 0.25, 2.0, 0.03, flagged)
    grow_strange(*frame, columns, 1, 1, 3.0, 3.0, 0.25, 2.0, 0.03, 12, flagged)
    return flagged


@pytest.mark.parametrize("fwhm", [1.5, 2.1, 4.0])
def test_no_star_excites_a_filter(fwhm):
    sigma = fwhm / 2.3548
    (filters,), _ = _filters(sigma)
    y, x = np.mgrid[-2:3, -2:3]
    rng = np.random.default_rng(7)
    for dy, dx in rng.uniform(-3.4, 3.4, (300, 2)):
        star = _gaussian(y, x, dy, dx, sigma)
        assert (star.ravel() @ filters).max() <= 0.02 * np.linalg.norm(star)


def test_every_trace_excites_its_filter_and_flat_sky_none():
    (filters,), _ = _filters(2.1 / 2.3548)
    np.testing.assert_allclose(np.linalg.norm(filters, axis=0), 1.0, rtol=1e-5)
    assert (np.einsum("nk,kn->n", TRACES, filters) > 0.25 * np.linalg.norm(TRACES, axis=1)).all()
    assert filters.sum(axis=0).max() < 1e-4


def test_find_traces_agrees_with_its_definition():
    rng = np.random.default_rng(3)
    image = rng.normal(0.0, 20.0, (40, 50)).astype(np.float32)
    image[rng.random(image.shape) < 0.05] += 300.0
    variance = rng.uniform(300.0, 500.0, image.shape).astype(np.float32)
    excluded = rng.random(image.shape) < 0.01
    (filters,), _ = _filters(0.9)
    expected = np.zeros(image.shape, bool)
    for row in range(2, 38):
        for col in range(2, 48):
            window = slice(row - 2, row + 3), slice(col - 2, col + 3)
            if image[row, col] <= 4.5 * variance[row, col] ** 0.5 or excluded[window].any():
                continue
            light, noise = image[window].ravel().astype(float), variance[window].ravel().astype(float)
            for weights, trace in zip(filters.T.astype(float), TRACES, strict=True):
                core = trace > 0.35
                even = 4.0 * trace * ((light + 2.0 * noise**0.5)[core] / trace[core]).min()
                light_seen = np.where(weights > 0.0, np.minimum(light, even), light)
                response, positive = weights @ light_seen, np.maximum(weights, 0.0) @ np.maximum(light_seen, 0.0)
                if response > (4.3**2 * weights**2 @ noise + (0.2 * positive) ** 2) ** 0.5:
                    expected[window] |= (core & (light > 3.0 * noise**0.5)).reshape(5, 5)
    found = np.zeros(image.shape, bool)
    find_traces(image, variance, excluded, filters[np.newaxis], TRACES, 1, 1, 4.5, 4.3, 3.0, 0.2, found)
    assert expected.sum() > 50
    assert (found == expected).all()


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


@pytest.mark.parametrize(("fwhm", "part"), [(1.5, 0.88), (2.1, 0.99)])
def test_worms_of_diffused_charge_are_found_to_their_faint_ends(fwhm, part):
    rng = np.random.default_rng(4)
    electrons = np.zeros((SIZE, SIZE))
    for row in range(30, SIZE - 30, 40):
        for col in range(30, SIZE - 30, 40):
            turn = rng.uniform(0.0, np.pi) + np.cumsum(rng.normal(0.0, 0.3, 30))
            way = np.array([row, col]) + np.cumsum(0.3 * np.stack([np.sin(turn), np.cos(turn)], axis=1), axis=0)
            cloud = np.rint(way[:, np.newaxis] + rng.normal(0.0, 0.4, (30, 40, 2))).astype(int).reshape(-1, 2)
            np.add.at(electrons, tuple(cloud.T), rng.uniform(5.0, 50.0))
    found, snr = _find(electrons, fwhm / 2.3548), electrons / SKY**0.5
    assert found[snr > 10.0].mean() > part
    assert found[(snr > 5.0) & (snr < 10.0)].mean() > 0.75
    assert (found & (electrons == 0.0)).sum() < 5


@pytest.mark.parametrize(("fwhm", "snr"), [(1.5, 20.0), (2.1, 12.0)])
def test_single_pixel_hits_are_found(fwhm, snr):
    electrons = np.zeros((SIZE, SIZE))
    charge = 0.5 * (snr**2 + snr * (snr**2 + 4.0 * SKY) ** 0.5)
    electrons[20::24, 20::24][:15, :15] = charge
    found = _find(electrons, fwhm / 2.3548)
    assert found[20::24, 20::24][:15, :15].mean() > 0.97
    assert (found & (electrons == 0.0)).sum() < 10


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
    assert found[hit].mean() > 0.78  # some are fainter than the wings of their star
    assert (found & ~hit).sum() < 0.05 * hit.sum()


def test_excluded_and_nan_pixels_are_never_flagged():
    electrons = np.zeros((SIZE, SIZE))
    electrons[50::50, 50::50] = 5000.0
    assert _find(electrons, 0.9, excluded=electrons > 0.0).sum() == 0
    nan = np.full((20, 20), np.nan, dtype=np.float32)
    none = np.zeros(nan.shape, bool)
    assert _flags(nan, nan, none, 1.0).sum() == 0


def test_noise_is_not_flagged():
    assert _find(np.zeros((SIZE, SIZE)), 0.9).sum() <= 1
