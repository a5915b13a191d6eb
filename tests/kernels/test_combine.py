import numpy as np
import pytest

from etendue.kernels.combine import clipped_mean_stack, weighted_mean_stack


def _definition(stack, clip, floor):
    median = np.nanmedian(stack, axis=0)
    sigma = np.maximum(1.4826 * np.nanmedian(np.abs(stack - median), axis=0), floor)
    kept = np.where(np.abs(stack - median) <= clip * sigma, stack, np.nan)
    n = np.isfinite(kept).sum(axis=0)
    return np.nanmean(kept, axis=0), np.nanvar(kept, axis=0) / np.maximum(n - 1, 1), n


@pytest.mark.parametrize("n", [1, 2, 3, 8, 19])
def test_agrees_with_the_definition(n):
    rng = np.random.default_rng(n)
    stack = rng.normal(1000.0, 3.0, (n, 20, 30)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.05] += 500.0
    if n > 3:
        stack[0, :5] = np.nan
    mean, variance, count = clipped_mean_stack(stack, 3.0, 1.0)
    expected = _definition(stack.astype(float), 3.0, 1.0)
    np.testing.assert_allclose(mean, expected[0], rtol=1e-6)
    np.testing.assert_allclose(variance, expected[1], rtol=1e-3, atol=1e-6)
    assert (count == expected[2]).all()


def test_errors_are_calibrated():
    rng = np.random.default_rng(5)
    stack = rng.normal(0.0, 2.0, (16, 100, 200)).astype(np.float32)
    mean, variance, _ = clipped_mean_stack(stack, 5.0, 2.0)
    assert abs(mean.std() / np.sqrt(variance.mean()) - 1.0) < 4.0 / (2.0 * mean.size) ** 0.5


def test_integers_are_not_clipped_to_their_median():
    rng = np.random.default_rng(6)
    stack = np.rint(rng.normal(0.3, 0.5, (19, 50, 50))).astype(np.float32)
    mean, _, _ = clipped_mean_stack(stack, 4.0, 0.6)
    assert abs(mean.mean() - 0.3) < 0.01


def test_is_nan_where_nothing_is_finite():
    stack = np.full((4, 2, 2), np.nan, dtype=np.float32)
    stack[0, 1, 1] = 7.0
    mean, variance, count = clipped_mean_stack(stack, 3.0, 1.0)
    assert np.isnan(mean).sum() == 3
    assert mean[1, 1] == 7.0
    assert variance[1, 1] == 0.0
    assert count.sum() == 1


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_weighted_mean_agrees_with_the_definition(n):
    rng = np.random.default_rng(40 + n)
    sigma = rng.uniform(0.5, 5.0, n)
    stack = rng.normal(100.0, sigma[:, None, None], (n, 20, 30)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.05] += 300.0
    stack[0, :3] = np.nan
    mean, variance = weighted_mean_stack(stack, sigma, 3.0)
    values = stack.astype(float)
    middle = np.ma.median(np.ma.masked_invalid(values), axis=0).filled(np.nan)
    limit = 3.0 * np.sqrt(sigma**2 + 1.571 * np.median(sigma) ** 2 / n)
    with np.errstate(invalid="ignore"):
        near = np.abs(values - middle) <= limit[:, None, None]
    use = np.isfinite(values) & (near | ~near.any(axis=0))
    weight = np.where(use, 1.0 / sigma[:, None, None] ** 2, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = (weight * np.nan_to_num(values)).sum(axis=0) / weight.sum(axis=0)
        spread = (weight * (np.nan_to_num(values) - expected) ** 2).sum(axis=0) / weight.sum(axis=0)
    np.testing.assert_allclose(mean, expected, rtol=1e-6)
    np.testing.assert_allclose(variance, spread / np.maximum(use.sum(axis=0) - 1, 1), rtol=1e-3, atol=1e-6)


def test_errors_of_weighted_means_are_calibrated():
    rng = np.random.default_rng(8)
    sigma = np.array([1.0, 1.0, 2.0, 4.0, 8.0, 1.5])
    stack = rng.normal(0.0, sigma[:, None, None], (6, 100, 200)).astype(np.float32)
    mean, variance = weighted_mean_stack(stack, sigma, 5.0)
    assert mean.std() == pytest.approx(np.sum(sigma**-2.0) ** -0.5, rel=0.02)
    assert np.sqrt(variance.mean()) == pytest.approx(mean.std(), rel=0.03)
