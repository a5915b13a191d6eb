"""Ways in which the shape of a PSF varies from star to star, and how much of each a star has, on plain arrays."""

import numpy as np
from numpy.typing import NDArray

from etendue.kernels.psf import draw_pixel_basis

Real = NDArray[np.float64]

_FREE = 3  # flux and place of each star are free beside the modes


def shape_modes(grid: Real) -> Real:
    """Return the changes of a PSF that a little more width, ellipticity and its diagonal part make.

    To first order a convolution with a narrow kernel of covariance C adds ``0.5 C_ij d2/dx_i dx_j``.

    Parameters
    ----------
    grid : ndarray, float64, shape (m, m)
        B-spline coefficients of the PSF.

    Returns
    -------
    ndarray, float64, shape (3, m, m)
        Coefficients of ``(d2x + d2y)``, ``(d2x - d2y)`` and ``2 dx dy`` [per sample**2].
    """
    around = np.pad(grid, 1)
    middle = around[1:-1, 1:-1]
    xx = around[1:-1, 2:] - 2.0 * middle + around[1:-1, :-2]
    yy = around[2:, 1:-1] - 2.0 * middle + around[:-2, 1:-1]
    xy = 0.25 * (around[2:, 2:] - around[2:, :-2] - around[:-2, 2:] + around[:-2, :-2])
    return np.stack([xx + yy, xx - yy, 2.0 * xy])


def mode_amplitudes(
    residual: Real, weight: Real, model: Real, modes: Real, *, step: float, dx: Real, dy: Real
) -> tuple[Real, Real]:
    """Fit to what each star has besides its model how much of each mode it is.

    Its flux and place are free too: they were fitted with a model without the modes.

    Parameters
    ----------
    residual, weight, model : ndarray, float64, shape (n, k, k)
        Star stamps of unit flux minus their model, inverse variances (0 where unusable), and the model.
    modes : ndarray, float64, shape (q, m, m)
        B-spline coefficients of the modes.
    step : float
        Grid spacing [px].
    dx, dy : ndarray, float64, shape (n,)
        Star position minus the centre of the middle stamp pixel [px].

    Returns
    -------
    amplitude, error : ndarray, float64, shape (n, q)
        Infinite errors where the pixels do not tell.
    """
    n, size = model.shape[0], model.shape[1]
    one = np.ones((n, 1))
    drawn = [draw_pixel_basis(mode[None], one, step, dx, dy, size) for mode in modes]
    slopes = np.gradient(model, axis=(1, 2))
    design = np.stack([model, *slopes, *drawn], axis=1).reshape(n, _FREE + len(modes), -1)
    weighted = design * weight.reshape(n, 1, -1)
    normal = np.einsum("nap,nbp->nab", weighted, design)
    scale = np.sqrt(np.einsum("naa->na", normal))
    usable = (scale > 0.0).all(axis=1)
    scale = np.where(scale > 0.0, scale, 1.0)
    normal = normal / (scale[:, :, None] * scale[:, None, :]) + 1e-9 * np.eye(normal.shape[1])
    covariance = np.linalg.inv(normal)
    right = np.einsum("nap,np->na", weighted, residual.reshape(n, -1)) / scale
    amplitude = np.einsum("nab,nb->na", covariance, right) / scale
    error = np.sqrt(np.einsum("naa->na", covariance)) / scale
    return amplitude[:, _FREE:], np.where(usable[:, None], error[:, _FREE:], np.inf)
