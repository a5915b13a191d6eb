"""Gaussian processes in the place on a detector, for what a polynomial of the place cannot follow, on plain arrays."""

from typing import NamedTuple

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from etendue.kernels.types import F64_1D, F64_2D

Real = NDArray[np.float64]

_ROOT3 = float(np.sqrt(3.0))
# Variance of the process over that of the noise: the whole range in which one of them can be told beside the other.
_RATIOS = 10.0 ** np.arange(-3.0, 5.01, 0.25)


class MaternProcess(NamedTuple):
    """Mean of a Gaussian process given noisy values at knots."""

    weights: Real  # (n,), of the kernels at the knots
    length: float  # scale of the kernel, in units of the places
    gain: float  # how much more likely the values are with it than as noise alone (natural logarithm)


@njit([types.Array(types.float64, 2, "C")(F64_1D, F64_1D, F64_1D, F64_1D, F64_2D, F64_1D)],
      cache=True, nogil=True, error_model="numpy")  # fmt: skip
def matern_sums(x, y, knot_x, knot_y, weights, lengths):
    """Sum Matern kernels of smoothness 3/2 around knots.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Places.
    knot_x, knot_y : ndarray, float64, shape (m,)
        Knots.
    weights : ndarray, float64, shape (m, k)
        Weights of the kernels, of k processes.
    lengths : ndarray, float64, shape (k,)
        Scales of the kernels.

    Returns
    -------
    ndarray, float64, shape (n, k)
        ``sum_m w_mk (1 + t) exp(-t)`` with ``t = sqrt(3) distance / length_k``.
    """
    result = np.zeros((x.size, lengths.size))
    for i in range(x.size):
        for j in range(knot_x.size):
            distance = _ROOT3 * np.hypot(x[i] - knot_x[j], y[i] - knot_y[j])
            for k in range(lengths.size):
                t = distance / lengths[k]
                result[i, k] += weights[j, k] * (1.0 + t) * np.exp(-t)
    return result


def fit_matern(x: Real, y: Real, value: Real, error: Real, lengths: Real) -> MaternProcess:
    """Find the Gaussian process of zero mean under which values with errors are most likely.

    The kernel is Matern's of smoothness 3/2, whose fields are rough as those of turbulent air; its length, its variance
    and a common factor of the squared errors maximise the marginal likelihood (Rasmussen & Williams 2006, equation
    5.8). In units of the errors all variances of one length share their eigenvectors, so that one decomposition serves
    them all; the factor, at least 1, has a closed form.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Places, at least one.
    value, error : ndarray, float64, shape (n,)
        Values there and their errors.
    lengths : ndarray, float64, shape (k,)
        Lengths to try.

    Returns
    -------
    MaternProcess
    """
    n = value.size
    distance = _ROOT3 * np.hypot(x[:, None] - x, y[:, None] - y)
    scaled = value / error
    noise_alone = _log_likelihood(np.zeros(n), scaled)
    best = MaternProcess(np.zeros(n), float(lengths[0]), 0.0)
    for length in lengths:
        t = distance / length
        strength, vectors = np.linalg.eigh((1.0 + t) * np.exp(-t) / (error[:, None] * error))
        strength = np.maximum(strength, 0.0) * float(np.mean(error**2))
        along = vectors.T @ scaled
        chances = [_log_likelihood(ratio * strength, along) for ratio in _RATIOS]
        k = int(np.argmax(chances))
        if chances[k] - noise_alone > best.gain:
            variance = float(_RATIOS[k] * np.mean(error**2))
            weights = variance * (vectors @ (along / (_RATIOS[k] * strength + 1.0))) / error
            best = MaternProcess(weights, float(length), chances[k] - noise_alone)
    return best


def _log_likelihood(signal: Real, along: Real) -> float:
    """Return the logarithm of the likelihood, but for a constant, at the best factor of the noise."""
    variance = signal + 1.0
    factor = max(float(np.mean(along**2 / variance)), 1.0)
    return -0.5 * float(np.sum(along**2 / variance) / factor + np.sum(np.log(factor * variance)))
