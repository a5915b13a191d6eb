import numpy as np
import pytest

from etendue.kernels.coadd import median_of_good, reject_outliers, weighted_mean


@pytest.fixture
def stack():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(9, 20, 30)).astype(np.float32)
    variance = rng.uniform(0.8, 1.2, size=values.shape).astype(np.float32)
    bad = rng.random(values.shape) < 0.3
    bad[:, 4, 5] = True
    return values, variance, bad


@pytest.mark.filterwarnings("ignore:All-NaN")
def test_median_agrees_with_the_definition(stack):
    values, _, bad = stack
    np.testing.assert_array_equal(median_of_good(values, bad), np.nanmedian(np.where(bad, np.nan, values), axis=0))


def test_mean_and_variance_agree_with_the_definition(stack):
    values, variance, bad = stack
    weights = np.linspace(1.0, 2.0, len(values))
    mean, noise, count = weighted_mean(values, variance, bad, weights)
    w = np.where(bad, 0.0, weights[:, None, None])
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(mean, (w * values).sum(axis=0) / w.sum(axis=0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(noise, (w**2 * variance).sum(axis=0) / w.sum(axis=0) ** 2, rtol=1e-5)
    np.testing.assert_array_equal(count, (~bad).sum(axis=0))
    assert np.isnan(mean[4, 5])


def slow_rejection(stack, variance, bad, centre, tolerance, threshold, grow, radius):
    sigma = np.sqrt(variance + tolerance**2)
    deviation = np.abs(stack - centre)
    seeds = (deviation > threshold * sigma) & ~bad
    rejected = np.zeros_like(bad)
    for k, y, x in np.ndindex(stack.shape):
        around = seeds[k, max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
        rejected[k, y, x] = not bad[k, y, x] and deviation[k, y, x] > grow * sigma[k, y, x] and around.any()
    return rejected


def test_rejection_agrees_with_the_definition(stack):
    values, variance, bad = stack
    values = values.copy()
    values[3, 8:11, 12:16] += 6.0
    tolerance = np.full(values.shape[1:], 0.2, np.float32)
    centre = np.nan_to_num(median_of_good(values, bad))
    arguments = (values, variance, bad, centre, tolerance, 4.0, 2.0, 2)
    rejected = reject_outliers(*arguments)
    np.testing.assert_array_equal(rejected, slow_rejection(*arguments))
    assert (rejected | bad)[3, 8:11, 12:16].all()


def test_noise_alone_is_hardly_rejected():
    values = np.random.default_rng(2).normal(size=(18, 100, 100)).astype(np.float32)
    good = np.zeros(values.shape, np.bool_)
    zero = np.zeros((100, 100), np.float32)
    rejected = reject_outliers(values, np.ones_like(values), good, median_of_good(values, good), zero, 4.5, 2.0, 2)
    assert rejected.mean() < 2e-4
