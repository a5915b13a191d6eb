import numpy as np
import pytest

from etendue.kernels.crosstalk import subtract_foreign, unmix_amplifiers
from etendue.kernels.read_out import mix_amplifiers


def mixed(rng, linear, quadratic, shape=(4, 20, 30)):
    signals = rng.gamma(1.0, 20000.0, shape).astype(np.float32)
    out = np.empty_like(signals)
    mix_amplifiers(out, signals, linear, quadratic)
    return signals, out


def coefficients(rng, linear, quadratic, n=4):
    drawn = [size * rng.standard_normal((n, n)) for size in (linear, quadratic)]
    for matrix in drawn:
        np.fill_diagonal(matrix, 0.0)
    return drawn


def unmix(signals, linear, quadratic, threshold=5.0):
    mixing = np.linalg.inv(np.eye(len(linear)) + linear)
    marked = np.zeros(signals.shape, bool)
    unmix_amplifiers(signals, mixing - np.eye(len(linear)), -mixing @ quadratic, threshold, marked)
    return marked


@pytest.mark.parametrize(("linear", "quadratic", "left"), [(2e-4, 3e-10, 0.02), (1e-2, 0.0, 0.05), (2e-3, 3e-9, 0.2)])
def test_what_was_mixed_comes_back_to_second_order(linear, quadratic, left):
    rng = np.random.default_rng(5)
    matrices = coefficients(rng, linear, quadratic)
    signals, out = mixed(rng, *matrices)
    assert np.abs(out - signals).max() > 50.0 * left
    unmix(out, *matrices)
    np.testing.assert_allclose(out, signals, atol=left)


def test_agrees_with_the_slow_definition():
    rng = np.random.default_rng(6)
    linear, quadratic = coefficients(rng, 3e-3, 2e-8)
    signals = rng.uniform(0.0, 30000.0, (4, 7, 9)).astype(np.float32)
    m, mixing = signals.astype(float), np.linalg.inv(np.eye(4) + linear)
    first = np.einsum("ij,jyx->iyx", mixing, m) - np.einsum("ij,jyx->iyx", mixing @ quadratic, m**2)
    expected = np.einsum("ij,jyx->iyx", mixing, m) - np.einsum("ij,jyx->iyx", mixing @ quadratic, first**2)
    marked = unmix(signals, linear, quadratic, threshold=50.0)
    np.testing.assert_allclose(signals, expected, atol=0.02)
    clear = np.abs(np.abs(expected - m) - 50.0) > 0.1
    assert (marked == (np.abs(expected - m) > 50.0))[clear].all()


def test_a_pixel_without_a_value_talks_to_nobody_and_stays_so():
    linear = np.array([[0.0, 0.01], [0.01, 0.0]])
    signals = np.full((2, 1, 2), 1000.0, np.float32)
    signals[1, 0, 0] = np.nan
    unmix(signals, linear, np.zeros((2, 2)))
    assert np.isnan(signals[1, 0, 0])
    assert signals[0, 0].tolist() == pytest.approx([1000.0 * (1.0 + 1e-4), 1000.0 / 1.01], rel=1e-3)


def test_foreign_signals_are_subtracted_where_both_have_pixels():
    signals = np.zeros((2, 3, 4), np.float32)
    others = np.full((1, 2, 9), 100.0, np.float32)
    others[0, 0, 0] = np.inf
    marked = np.zeros(signals.shape, bool)
    subtract_foreign(signals, others, np.array([[0.1], [0.0]]), np.array([[1e-3], [0.0]]), 5.0, marked)
    expected = np.zeros((2, 3, 4))
    expected[0, :2] = -20.0
    expected[0, 0, 0] = 0.0
    np.testing.assert_allclose(signals, expected, rtol=1e-6)
    assert (marked == (expected < -5.0)).all()
