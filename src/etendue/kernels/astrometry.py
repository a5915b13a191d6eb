"""Weighted polynomial fits on a plane and the scatter that formal errors leave unexplained."""

from dataclasses import dataclass

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from etendue.kernels.types import F64, F64_1D

_MEDIAN_CHI2 = 0.4549364231195724  # median of chi-square with one degree of freedom
_BISECTIONS = 60


def polynomial_powers(order: int) -> NDArray[np.int64]:
    """List the powers of a full polynomial in two variables.

    Parameters
    ----------
    order : int
        Highest total power, 0 or more.

    Returns
    -------
    ndarray, int64, shape ((order + 1) * (order + 2) / 2, 2)
        Powers ``(p, q)`` of ``u**p v**q``, lowest total power first.
    """
    return np.array([(total - q, q) for total in range(order + 1) for q in range(total + 1)], np.int64)


def polynomial_design(u: NDArray[np.float64], v: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """Return the design matrix of a full polynomial.

    Parameters
    ----------
    u, v : ndarray, float64, shape (n,)
        Points, best scaled to [-1, 1].
    order : int
        Highest total power.

    Returns
    -------
    ndarray, float64, shape (n, n_terms)
        Columns in the order of `polynomial_powers`.
    """
    p, q = polynomial_powers(order).T
    return np.asarray(u[:, None] ** p * v[:, None] ** q)


@dataclass(frozen=True, slots=True)
class LinearFit:
    """Result of `weighted_fit`.

    Parameters
    ----------
    coefficients : ndarray, float64, shape (n_terms,)
        Best fit.
    covariance : ndarray, float64, shape (n_terms, n_terms)
        Inverse of the normal matrix.
    """

    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]


def weighted_fit(design: NDArray[np.float64], value: NDArray[np.float64], weight: NDArray[np.float64]) -> LinearFit:
    """Fit a linear model by weighted least squares.

    Parameters
    ----------
    design : ndarray, float64, shape (n, n_terms)
        Model terms.
    value, weight : ndarray, float64, shape (n,)
        Data and their inverse variances; zero leaves a point out.

    Returns
    -------
    LinearFit

    Raises
    ------
    numpy.linalg.LinAlgError
        If the points do not fix every term.
    """
    # QR of the whitened design: squaring the condition number would cost half of the digits.
    root = np.sqrt(weight)
    q, r = np.linalg.qr(design * root[:, None])
    if design.shape[0] < design.shape[1] or np.abs(np.diag(r)).min() <= 1e-12 * np.abs(np.diag(r)).max():
        raise np.linalg.LinAlgError("points do not fix every term")
    inverse = np.linalg.inv(r)
    return LinearFit(inverse @ (q.T @ (value * root)), inverse @ inverse.T)


def systematic_floor(
    residual: NDArray[np.float64], variance: NDArray[np.float64], freedom: NDArray[np.float64]
) -> float:
    """Return the error that, added in quadrature, gives residuals the median chi-square they should have.

    Parameters
    ----------
    residual : ndarray, float64, shape (n,)
        Data minus model.
    variance : ndarray, float64, shape (n,)
        Formal variances, same units squared.
    freedom : ndarray, float64, shape (n,)
        Expected ``residual**2`` over variance: one minus the leverage of the point.

    Returns
    -------
    float
        The floor, in units of the residuals; 0 where the formal errors suffice or no point is given.

    Notes
    -----
    Solves ``median(residual**2 / (freedom * (variance + floor**2))) = 0.4549`` by bisection over the
    half with the smaller formal errors, which alone can tell a floor from errors that are a little
    wrong; the median is blind to a minority of outliers.
    """
    usable = freedom > 1e-3
    if not usable.any():
        return 0.0
    usable &= variance <= np.median(variance[usable])
    square, formal = residual[usable] ** 2 / freedom[usable], variance[usable]
    low, high = 0.0, float(np.sqrt(square.max() / _MEDIAN_CHI2))
    if np.median(square / formal) <= _MEDIAN_CHI2:
        return 0.0
    return float(_bisected(square.astype(np.float64), formal.astype(np.float64), low, high))


@njit([types.float64(F64_1D, F64_1D, F64, F64)], cache=True, nogil=True, error_model="numpy")
def _bisected(square, formal, low, high):
    """Return the floor between two limits whose median chi-square is that of a Gaussian."""
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if np.median(square / (formal + middle**2)) > _MEDIAN_CHI2:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
