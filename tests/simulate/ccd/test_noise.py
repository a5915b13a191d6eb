import numpy as np
import pytest
from scipy import stats

from etendue.kernels.random_numbers import draw_poisson, fill_normal


def words(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


@pytest.mark.parametrize("mean", [0.03, 1.0, 7.5, 15.9, 16.0, 40.0, 300.0, 20000.0])
def test_counts_follow_poissons_law(mean):
    counts = np.full((500, 1000), mean, np.float32)
    draw_poisson(counts, words(500))
    edges = np.unique(stats.poisson.ppf(np.linspace(0.0, 1.0, 42)[1:-1], np.float32(mean)))
    below = np.concatenate([[0.0], stats.poisson.cdf(edges, np.float32(mean)), [1.0]])
    found = np.diff(np.concatenate([[0], np.searchsorted(np.sort(counts.ravel()), edges, side="right"), [counts.size]]))
    expected = np.diff(below) * counts.size
    used = expected > 5.0
    chi2 = np.sum((found[used] - expected[used]) ** 2 / expected[used])
    assert stats.chi2.sf(chi2, used.sum() - 1) > 1e-4


def test_normal_deviates_are_normal():
    values = np.empty((500, 1000), np.float32)
    fill_normal(values, 1.0, words(500, 2))
    assert stats.kstest(values.ravel(), "norm").pvalue > 1e-4
    for limit in (3.0, 3.7, 4.2):  # the tail begins at 3.65
        expected = 2.0 * stats.norm.sf(limit) * values.size
        assert abs(np.sum(np.abs(values) > limit) - expected) < 4.5 * np.sqrt(expected)


def test_rows_and_neighbours_are_independent():
    values = np.empty((1000, 1000), np.float32)
    fill_normal(values, 1.0, words(1000, 3))
    assert abs(np.mean(values[1:] * values[:-1])) < 4e-3
    assert abs(np.mean(values[:, 1:] * values[:, :-1])) < 4e-3


@pytest.mark.parametrize("effects", [{}, {"brighter_fatter": {"serial_shift": 0.0, "parallel_shift": 0.0}}])
def test_noise_is_poisson_and_read_noise_over_a_hundred_seeds(make_ccd, make_chip, even, effects):
    detector = make_chip(48, 48, columns=1, stories=1, gain=1.0, read_noise=6.0)
    ccd = make_ccd(detector, read_noise={"scatter": 0.0}, bias={"pixel_rms_adu": 0.0, "row_drift_adu": 0.0}, **effects)
    level = 400.0
    light, dark = even(ccd, level), even(ccd, 0.0)
    frames = np.array([detector.trim(ccd.expose(light, 1.0, np.random.default_rng(k)).raw) for k in range(100)], float)
    biases = np.array([detector.trim(ccd.expose(dark, 1.0, np.random.default_rng(k)).raw) for k in range(100)], float)
    frames -= np.median(biases, axis=(1, 2), keepdims=True)  # the level jitters from frame to frame
    frames -= biases.mean(0) - np.median(biases)
    variance = level + 36.0 + 1.0 / 12.0
    assert frames.mean() == pytest.approx(level, rel=0.01)
    assert frames.var(axis=(1, 2)).mean() == pytest.approx(variance, rel=0.01)
    chi2 = np.sum((frames - frames.mean(axis=(1, 2), keepdims=True)) ** 2, axis=(1, 2)) / variance
    p = stats.chi2.sf(chi2, frames[0].size - 1)
    assert stats.kstest(p, "uniform").pvalue > 1e-3
