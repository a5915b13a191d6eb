"""Trails against sums of points along a line, and the scatter of their fits."""

import numpy as np
import pytest

from etendue.kernels.trail import draw_trail, fit_trails

PSF = np.array([[0.7, 1.3], [0.3, 2.4]])
TRUTH = np.array([5e3, 30.3, 29.6, 14.0, 0.6])
WHITE = np.ones((1, 1))


def slow_trail(x, y, length, angle):
    """Return 400 points along a line, each drawn as a star."""
    rows, columns = np.mgrid[:61, :61].astype(float)
    total = 0.0
    for part in (np.arange(400) + 0.5) / 400 - 0.5:
        dx, dy = columns - x - part * length * np.cos(angle), rows - y - part * length * np.sin(angle)
        total = total + sum(a / (2 * np.pi * s**2) * np.exp(-0.5 * (dx**2 + dy**2) / s**2) for a, s in PSF) / 400
    return total


def fit(images, sigma, start):
    n = len(images)
    whole = np.ascontiguousarray(np.concatenate(images, axis=1))
    none, start = np.zeros(n, np.int64), np.tile(start, (n, 1))
    start[:, 1] += np.arange(n) * 61
    pixels = (whole, np.full(whole.shape, sigma**2), np.zeros(whole.shape, bool))
    light = (np.zeros(0, np.float32), np.zeros(n + 1, np.int64), none, none, none, none)
    theta, covariance, chi2 = fit_trails(*pixels, *light, start, np.full(n, 22), PSF[np.newaxis], none, WHITE)
    theta[:, 1] -= np.arange(n) * 61
    return theta, covariance, chi2


def test_a_drawn_trail_is_a_line_of_points_with_its_slopes():
    out = np.empty((5, 61, 61))
    draw_trail(*TRUTH[1:], PSF, out)
    np.testing.assert_allclose(out[0], slow_trail(*TRUTH[1:]), atol=1e-4 * out[0].max())
    for k in range(4):
        step = 1e-4 * np.eye(4)[k]
        slope = (slow_trail(*(TRUTH[1:] + step)) - slow_trail(*(TRUTH[1:] - step))) / 2e-4
        np.testing.assert_allclose(out[1 + k], slope, atol=1e-3 * np.abs(slope).max())


def test_trails_are_found_again_with_errors_that_are_their_scatter():
    rng, n, sigma = np.random.default_rng(3), 150, 4.0
    noisy = TRUTH[0] * slow_trail(*TRUTH[1:]) + rng.normal(0.0, sigma, (n, 61, 61))
    theta, covariance, chi2 = fit(list(noisy), sigma, np.array([3e3, 30.0, 30.0, 10.0, 0.4]))
    pull = (theta - TRUTH) / np.sqrt(np.einsum("ijj->ij", covariance))
    np.testing.assert_allclose(np.std(pull, axis=0), 1.0, atol=4.0 / np.sqrt(2 * n))
    np.testing.assert_allclose(np.median(pull, axis=0), 0.0, atol=5.0 / np.sqrt(n))
    assert np.median(chi2) == pytest.approx(1.0, abs=0.05)


def test_a_star_is_a_trail_of_almost_no_length():
    star = 5e3 * slow_trail(30.3, 29.6, 0.0, 0.0)
    theta, _, _ = fit([star], 4.0, np.array([3e3, 30.0, 30.0, 3.0, 0.4]))
    assert theta[0, 0] == pytest.approx(5e3, rel=1e-3)
    assert theta[0, 3] < 0.3
