"""PSF stamps as sums of a few concentric elliptical Gaussians."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares


def psf_mixture(stamp: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit a sum of Gaussians to a centred PSF stamp by unweighted least squares.

    Parameters
    ----------
    stamp : ndarray, float64, shape (k, k)
        PSF, pixel response included, centred on the middle pixel.
    start : ndarray, float64, shape (m, 4)
        First guess: amplitudes and covariances xx, xy, yy [px**2].

    Returns
    -------
    ndarray, float64, shape (m, 4)
        The fit, from narrow to wide.
    """
    half = stamp.shape[0] // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    data, count = stamp.ravel(), len(start)
    x, y = x.ravel(), y.ravel()

    def misfit(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        model = -data
        for amplitude, a, b, c in parameters.reshape(count, 4):  # covariance L L^T of the triangle (a, 0; b, c)
            u = x / a
            v = (y - b * u) / c
            model = model + amplitude / (2.0 * np.pi * abs(a * c)) * np.exp(-0.5 * (u * u + v * v))
        return model

    triangle = start.copy()
    triangle[:, 1] = np.sqrt(start[:, 1])
    triangle[:, 2] = start[:, 2] / triangle[:, 1]
    triangle[:, 3] = np.sqrt(start[:, 3] - triangle[:, 2] ** 2)
    amplitude, a, b, c = least_squares(misfit, triangle.ravel(), x_scale="jac", xtol=1e-5).x.reshape(count, 4).T
    found = np.stack([amplitude, a * a, a * b, b * b + c * c], axis=1)
    return np.ascontiguousarray(found[np.argsort(found[:, 1] + found[:, 3])])


def first_mixture(sigma: float) -> NDArray[np.float64]:
    """Return where the fit of a PSF of a Gaussian core may start: core, shoulder and wing.

    Parameters
    ----------
    sigma : float
        Width of the core [px].

    Returns
    -------
    ndarray, float64, shape (3, 4)
        Amplitudes and covariances xx, xy, yy [px**2].
    """
    variance = sigma * sigma * np.array([0.7, 2.0, 8.0])
    return np.stack([np.array([0.6, 0.3, 0.1]), variance, np.zeros(3), variance], axis=1)
