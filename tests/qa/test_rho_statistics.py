"""Rho statistics: their definition, and errors that fields show."""

import numpy as np
import pytest

from etendue.kernels.pair_correlation import pair_correlations
from etendue.qa.rho_statistics import rho_statistics

NAMES = ("ixx", "iyy", "ixy")


def image(rng, n=60, pattern=0.0, noise=0.002):
    """Stars whose model misses a distortion that varies over 5 arcmin."""
    x, y = rng.uniform(0, 10, (2, n))
    e1, e2 = 0.05 + rng.normal(0, noise, n), rng.normal(0, noise, n)
    wrong = pattern * np.cos(x / 5.0)
    size = 2.0 * (1.0 + rng.normal(0, noise, n))
    stars = {"ixx": size * (1 + e1 + wrong), "iyy": size * (1 - e1 - wrong), "ixy": size * e2}
    model = {"ixxPSF": np.full(n, 2.1), "iyyPSF": np.full(n, 1.9), "ixyPSF": np.zeros(n)}
    return {"x_arcmin": x, "y_arcmin": y, **stars, **model}


def test_correlations_are_sums_over_all_pairs():
    rng = np.random.default_rng(1)
    x, y, a, b = rng.uniform(0, 4, (4, 25))
    edges = np.array([0.2, 1.0, 2.0])
    sums, counts = pair_correlations(x, y, np.stack([a, b]), np.stack([b, a * 0.5]), edges)
    first, second = a + 1j * b, b + 0.5j * a
    distance = np.hypot(x[:, None] - x, y[:, None] - y)
    for k in range(2):
        near = (distance >= edges[k]) & (distance < edges[k + 1])
        assert counts[k] == near.sum() // 2
        for row, (u, v) in enumerate([(first, first), (first, second), (second, second)]):
            expected = 0.5 * (np.conj(u)[:, None] * v)[near].real.sum()
            assert sums[row, k] == pytest.approx(expected, abs=1e-10)


def test_independent_errors_of_stars_do_not_correlate():
    rng = np.random.default_rng(2)
    found = rho_statistics([image(rng) for _ in range(60)], (0.1, 1.0, 5.0))
    assert (np.abs(found.rho) < 4.0 * found.err).all()
    assert (found.err[0] < 1e-6).all()


def test_a_pattern_that_the_model_misses_shows_in_rho1():
    rng = np.random.default_rng(3)
    found = rho_statistics([image(rng, pattern=0.003) for _ in range(30)], (0.1, 1.0, 5.0))
    assert found.rho[0, 0] == pytest.approx(0.003**2 * 0.48, rel=0.25)  # <cos^2> over 0 to 2 rad is 0.41 to 0.5
    assert found.rho[1, 0] > 5.0 * found.err[1, 0]


def test_stars_without_moments_are_left_out_and_empty_bins_are_nan():
    one = image(np.random.default_rng(4), n=10)
    one["ixx"][3] = np.nan
    found = rho_statistics([one], (0.1, 20.0, 30.0))
    assert found.pairs.tolist() == [36, 0] or found.pairs[0] <= 36
    assert np.isnan(found.rho[:, 1]).all()
    assert np.isnan(found.err).all()
