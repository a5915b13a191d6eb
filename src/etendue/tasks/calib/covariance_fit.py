"""Fit of the full covariances of flats: gain, changes of pixel areas, noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import convolve2d

Vector = NDArray[np.float64]
_ROUNDS = 15
_STIFF = 1e-12  # [1/e]


@dataclass(frozen=True, slots=True, eq=False)
class CovarianceFit:
    """Parameters of Astier et al. (2019, A&A 629, A36, eq. 20).

    Parameters
    ----------
    gain, gain_err : float
        [e/ADU].
    area, area_err : ndarray, float64, shape (lag + 1, lag + 1)
        ``a`` [1/e].
    bend : ndarray, float64, shape (lag + 1, lag + 1)
        ``a * b``, element by element [1/e**2].
    noise_adu2, noise_err_adu2 : ndarray, float64, shape (lag + 1, lag + 1)
        ``n`` [ADU**2].
    """

    gain: float
    gain_err: float
    area: Vector
    area_err: Vector
    bend: Vector
    noise_adu2: Vector
    noise_err_adu2: Vector

    def covariance(self, signal: Vector) -> Vector:
        """Return the model.

        Parameters
        ----------
        signal : ndarray, float64, shape (n,)
            Levels [ADU].

        Returns
        -------
        ndarray, float64, shape (n, lag + 1, lag + 1)
            [ADU**2].
        """
        mu = signal[:, None, None]
        found = mu * mu * (self.area + 2.0 / 3.0 * self.gain * mu * self.bend) + self.noise_adu2
        found += _higher(mu, self.gain, self.area, self.bend)
        found[:, 0, 0] += signal / self.gain
        return np.asarray(found)


def covariance_error(variance: Vector, pairs: Vector) -> Vector:
    """Return the statistical errors of covariances.

    Parameters
    ----------
    variance : ndarray, float64, shape (n,)
        Variances of the levels.
    pairs : ndarray, float64, shape (n, lag + 1, lag + 1)
        Pairs of pixels.

    Returns
    -------
    ndarray, float64, shape (n, lag + 1, lag + 1)
        In the unit of the variance.
    """
    twice = np.ones(pairs.shape[1:])
    twice[0, 0] = 2.0
    return np.asarray(variance[:, None, None] * np.sqrt(twice / np.maximum(pairs, 1.0)))


def fit_covariances(
    signal: Vector, covariance: Vector, pairs: Vector, *, slope_sigma: float, areas: tuple[Vector, Vector] | None = None
) -> CovarianceFit:
    """Fit the covariances of one amplifier at all levels.

    The equation is linear in ``1 / gain``, ``a``, ``a b`` and ``n`` but for convolutions of ``a`` with itself, which
    are small: they are put in from the last round, and each offset is solved by weighted linear least squares.

    Parameters
    ----------
    signal : ndarray, float64, shape (n,)
        Levels, some of them may be 0 (pairs of biases) [ADU].
    covariance : ndarray, float64, shape (n, lag + 1, lag + 1)
        Covariances [ADU**2].
    pairs : ndarray, float64, shape (n, lag + 1, lag + 1)
        Pairs of pixels in each.
    slope_sigma : float
        Standard deviation of ``b`` about 0, a priori: far offsets cannot tell it [1/e].
    areas : tuple of ndarray, optional
        ``a`` and its error known from elsewhere, as a priori knowledge.

    Returns
    -------
    CovarianceFit
    """
    linear = (signal > 0.05 * signal.max()) & (signal < 0.4 * signal.max())
    linear = linear if linear.any() else signal > 0.0
    first = float(np.median(signal[linear] / covariance[linear, 0, 0]))
    zero = np.zeros(covariance.shape[1:])
    fit = CovarianceFit(first, first, zero if areas is None else areas[0], zero, zero, zero, zero)
    for round_ in range(_ROUNDS):
        stiff = 0.0 if round_ < _ROUNDS // 3 else 1.0  # `b` only when the rest has settled
        fit = _refine(fit, signal, covariance, pairs, max(stiff * slope_sigma, _STIFF), areas)
    return fit


def _refine(
    fit: CovarianceFit,
    signal: Vector,
    covariance: Vector,
    pairs: Vector,
    slope_sigma: float,
    areas: tuple[Vector, Vector] | None,
) -> CovarianceFit:
    """Solve all offsets with the small terms of the last round."""
    top = float(signal.max())
    x = signal / top  # of order 1, for the condition of the normal equations
    model = np.maximum(fit.covariance(signal)[:, 0, 0], 0.5 * covariance[:, 0, 0])
    weight = covariance_error(model, pairs) ** -2.0
    higher = _higher(signal[:, None, None], fit.gain, fit.area, fit.bend)
    scales = np.array([top, top**2, 2.0 / 3.0 * fit.gain * top**3, 1.0])  # of 1/gain, a, a b, n
    design = np.stack([x, x**2, x**3, np.ones_like(x)])
    lags = fit.area.shape
    normal = np.einsum("pk,qk,kji->jipq", design, design, weight)
    right = np.einsum("pk,kji,kji->jip", design, covariance - higher, weight)
    prior = np.zeros((*lags, 4))
    loose = np.maximum(np.abs(fit.area), 1e-10) * slope_sigma
    prior[..., 2] = (loose * scales[2]) ** -2.0
    if areas is not None:
        prior[..., 1] = (areas[1] * scales[1]) ** -2.0
        right[..., 1] += areas[0] * scales[1] * prior[..., 1]
    off_center = np.ones(lags, bool)
    off_center[0, 0] = False
    normal[off_center, 0, :] = normal[off_center, :, 0] = 0.0
    right[off_center, 0] = 0.0
    prior[off_center, 0] = 1.0
    inverse = np.linalg.inv(normal + prior[..., None] * np.eye(4))
    found = np.einsum("jipq,jiq->jip", inverse, right) / scales
    error = np.sqrt(np.maximum(np.einsum("jipp->jip", inverse), 0.0)) / scales
    gain = 1.0 / float(found[0, 0, 0])
    return CovarianceFit(
        gain, float(error[0, 0, 0]) * gain**2, found[..., 1], error[..., 1], found[..., 2], found[..., 3], error[..., 3]
    )


def _higher(mu: Vector, gain: float, area: Vector, bend: Vector) -> Vector:
    """Return the terms of eq. 20 with convolutions of ``a`` [ADU**2]."""
    twice = convolved(area, area)
    third = 2.0 * convolved(twice, area) + 5.0 * convolved(area, bend)
    return np.asarray(mu**3 * gain * (2.0 / 3.0 * twice + mu * gain / 6.0 * third))


def mirrored(quadrant: Vector) -> Vector:
    """Return the whole plane of a function that is even along both axes.

    Parameters
    ----------
    quadrant : ndarray, float64, shape (n + 1, n + 1)
        Values at offsets from 0 to n.

    Returns
    -------
    ndarray, float64, shape (2 n + 1, 2 n + 1)
        The middle is offset 0.
    """
    index = np.abs(np.arange(1 - quadrant.shape[0], quadrant.shape[0]))
    return quadrant[np.ix_(index, index)]


def convolved(one: Vector, other: Vector) -> Vector:
    """Convolve two functions that are even along both axes, and 0 beyond their last offset.

    Parameters
    ----------
    one, other : ndarray, float64, shape (n + 1, n + 1)
        Values at offsets from 0 to n.

    Returns
    -------
    ndarray, float64, shape (n + 1, n + 1)
    """
    lag = one.shape[0] - 1
    return np.asarray(convolve2d(mirrored(one), mirrored(other), mode="same")[lag:, lag:])
