"""Gaussian processes of the place and the modes of a PSF's shape that go with them."""

import numpy as np
import pytest

from etendue.kernels.psf_field import fit_matern, matern_sums
from etendue.kernels.psf_modes import mode_amplitudes, shape_modes

LENGTHS = np.array([50.0, 100.0, 200.0, 400.0, 800.0])


def matern(x, y, length):
    t = np.sqrt(3.0) * np.hypot(x[:, None] - x, y[:, None] - y) / length
    return (1.0 + t) * np.exp(-t)


@pytest.fixture(scope="module")
def places():
    return np.random.default_rng(5).uniform(0.0, 1000.0, (2, 150))


def drawn(rng, places, length=200.0):
    return np.linalg.cholesky(matern(*places, length) + 1e-9 * np.eye(150)) @ rng.normal(size=150)


def test_a_process_comes_out_with_its_length_and_closer_to_the_truth_than_its_noisy_values(places):
    rng, found, ratios = np.random.default_rng(6), [], []
    error = np.full(150, 0.7)
    for _ in range(10):
        truth = drawn(rng, places)
        value = truth + error * rng.normal(size=150)
        process = fit_matern(*places, value, error, LENGTHS)
        mean = matern_sums(*places, *places, process.weights[:, None], np.array([process.length]))[:, 0]
        found.append(process.length)
        ratios.append(np.std(mean - truth) / 0.7)
    assert 100.0 <= np.median(found) <= 400.0
    assert np.mean(ratios) < 0.7


def test_the_mean_is_that_of_the_definition(places):
    rng = np.random.default_rng(7)
    error = rng.uniform(0.2, 0.5, 150)
    value = drawn(rng, places) + error * rng.normal(size=150)
    process = fit_matern(*places, value, error, LENGTHS)
    kernel = matern(*places, process.length)
    slow = [
        variance * np.linalg.solve(variance * kernel + np.diag(error**2), value)
        for variance in 10.0 ** np.arange(-3.0, 5.01, 0.25) * np.mean(error**2)
    ]
    assert min(np.abs(process.weights - one).max() for one in slow) < 1e-6 * np.abs(process.weights).max()


def test_noise_alone_gains_nothing_by_a_process(places):
    rng, error = np.random.default_rng(8), np.full(150, 0.3)
    gains = [fit_matern(*places, error * rng.normal(size=150), error, LENGTHS).gain for _ in range(20)]
    assert np.max(gains) < 3.0
    assert fit_matern(*places, drawn(rng, places), error, LENGTHS).gain > 20.0


def test_stars_that_are_wider_and_longer_than_their_model_have_that_much_of_the_modes():
    offset = np.arange(-20, 21) * 0.5
    rho2 = offset[:, None] ** 2 + offset**2
    grid = np.exp(-0.5 * rho2 / 1.6**2)
    grid /= grid.sum() * 0.25
    row, col = np.mgrid[-8:9, -8:9]

    def star(xx, yy, xy):
        det = xx * yy - xy**2
        value = np.exp(-0.5 * (yy * col**2 - 2.0 * xy * col * row + xx * row**2) / det)
        return value / (2.0 * np.pi * np.sqrt(det))

    base = 1.6**2 + 0.25 / 3.0  # a cubic B-spline adds a third of the squared step
    model = np.stack([star(base, base, 0.0)] * 2)
    true = np.stack([star(base + 0.04, base + 0.04, 0.0), star(base + 0.02, base - 0.02, 0.01)])
    amplitude, error = mode_amplitudes(
        1.02 * true - model, np.full(model.shape, 1e8), model, shape_modes(grid), step=0.5, dx=np.zeros(2),
        dy=np.zeros(2),
    )  # fmt: skip
    # The modes are per squared sample: half the change of a moment, over step**2.
    expected = np.array([[0.04, 0.0, 0.0], [0.0, 0.02, 0.01]]) * 0.5 / 0.25
    np.testing.assert_allclose(amplitude, expected, atol=0.003)
    assert (error < 0.01).all()
