"""Model an image as a sum of point sources: weights, order and rounds of the joint fit, on plain arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from etendue.kernels.centroid import fit_sources
from etendue.kernels.local_background import local_background
from etendue.kernels.psf import draw_pixel_basis

Real = NDArray[np.float64]


class PointSources(NamedTuple):
    """Point sources fitted to an image, in array pixels and in the order given."""

    x: Real  # (n,)
    y: Real  # (n,)
    flux: Real  # (n,), NaN where no pixel was usable
    residual: Real  # (ny, nx), image minus all sources
    weight_variance: Real  # (ny, nx), variance of the model, not of the data; infinite where unusable
    sky: Real  # (n,), local background subtracted at each source


def narrow_components(components: Real, step: float, half: int) -> Real:
    """Cut the middle of a B-spline PSF, large enough for stamps of half side ``half``.

    Parameters
    ----------
    components : ndarray, float64, shape (n_terms, m, m)
        Coefficients.
    step : float
        Grid spacing [px].
    half : int
        Half side of the stamps to draw [px].

    Returns
    -------
    ndarray, float64, shape (n_terms, m', m')
        Its middle sample is that of the input.
    """
    m = components.shape[1]
    cut = max(0, int(0.5 * (m - 1) - (half + 0.5) / step - 3.0))
    return np.ascontiguousarray(components[:, cut : m - cut, cut : m - cut])


def variance_slope(image: Real, variance: Real, bad: NDArray[np.bool_]) -> float:
    """Estimate how fast the variance plane rises with the pixel value (1 / gain, or 0 where it does not).

    Parameters
    ----------
    image, variance : ndarray, float64, shape (ny, nx)
        Background-subtracted image and variance plane.
    bad : ndarray, bool, shape (ny, nx)
        Unusable pixels.

    Returns
    -------
    float
        Median of (V - V_sky) / I over pixels 20 sigma above the sky; 0 if there are fewer than 10.
    """
    good = ~bad & np.isfinite(image) & np.isfinite(variance)
    if not good.any():
        return 0.0
    sky = float(np.median(variance[good]))
    bright = good & (image > 20.0 * np.sqrt(sky))
    if np.count_nonzero(bright) < 10:
        return 0.0
    return max(0.0, float(np.median((variance[bright] - sky) / image[bright])))


def model_variance(variance: Real, residual: Real, slope: float, bad: NDArray[np.bool_]) -> Real:
    """Replace the photon noise of the data by that of the model.

    Weights made from the data's own noise bias fluxes low (pixels that fluctuate down weigh more).

    Parameters
    ----------
    variance, residual : ndarray, float64, shape (ny, nx)
        Variance plane of the data; data minus model.
    slope : float
        Rise of the variance with the pixel value.
    bad : ndarray, bool, shape (ny, nx)
        Unusable pixels.

    Returns
    -------
    ndarray, float64, shape (ny, nx)
        ``V - slope * residual``, not below a hundredth of V nor above 4 V; infinite where unusable.
    """
    smooth = np.clip(variance - slope * residual, 0.01 * variance, 4.0 * variance)
    smooth[bad | ~(variance > 0.0) | ~np.isfinite(residual)] = np.inf
    return smooth


def fit_point_sources(
    image: Real,
    variance: Real,
    bad: NDArray[np.bool_],
    *,
    components: Real,
    terms: Real,
    step: float,
    size: int,
    x: Real,
    y: Real,
    free: NDArray[np.bool_],
    radius: float,
    softening: float = 0.02,
    max_shift: float = 1.5,
    sweeps: tuple[int, ...] = (3, 3),
    sky_cell: int = 0,
) -> PointSources:
    """Fit flux and position of all sources of an image together.

    The first round weights by the sky noise, later ones by the noise of the model; between rounds a local background
    is taken from the image minus all sources.

    Parameters
    ----------
    image, variance : ndarray, float64, shape (ny, nx)
        Background-subtracted image and its variance.
    bad : ndarray, bool, shape (ny, nx)
        Unusable pixels.
    components : ndarray, float64, shape (n_terms, m, m)
        B-spline PSF.
    terms : ndarray, float64, shape (n, n_terms)
        Spatial terms at the sources.
    step : float
        Grid spacing [px].
    size : int
        Side of the stamps subtracted for bright sources [px].
    x, y : ndarray, float64, shape (n,)
        First guesses [px].
    free : ndarray, bool, shape (n,)
        Whether a position is fitted.
    radius : float
        Radius of the pixels fitted [px].
    softening : float
        Relative PSF error added to the noise when weighting.
    max_shift : float
        Largest move from the first guess [px].
    sweeps : tuple of int
        Visits of every source in each round.
    sky_cell : int
        Cell side of the local background [px]; 0 for none.

    Returns
    -------
    PointSources
        Fluxes, positions, residual image, weights.
    """
    half = int(np.ceil(radius)) + 1
    guess = _value_at(image, x, y)
    middle = terms.mean(axis=0, keepdims=True) if len(terms) else np.eye(1, terms.shape[1])
    stamp = draw_pixel_basis(components, middle, step, np.zeros(1), np.zeros(1), 2 * half + 1)
    edge = float(np.mean(stamp[0, [half, half, 0, -1], [0, -1, half, half]]))
    noise = float(np.sqrt(np.median(variance[~bad]))) if not bad.all() else 1.0
    order = np.argsort(-guess, kind="stable")
    n_wide = int(np.count_nonzero(guess * edge / stamp.max() > 0.2 * noise))
    slope = variance_slope(image, variance, bad)
    residual = np.where(np.isfinite(image), image, 0.0)
    xs, ys, flux = x[order].copy(), y[order].copy(), np.zeros(x.size)
    narrow = narrow_components(components, step, half)
    sky = np.zeros_like(image)
    for k, visits in enumerate(sweeps):
        weight_variance = model_variance(variance, residual, slope, bad)
        fit_sources(
            residual, weight_variance, components, narrow, np.ascontiguousarray(terms[order]), step,
            xs, ys, flux, x[order], y[order], free[order], n_wide, size, 2 * half + 1,
            radius, softening, max_shift, visits,
        )  # fmt: skip
        if sky_cell and k < len(sweeps) - 1:
            background = local_background(residual, bad, sky_cell)
            residual -= background
            sky += background
    back = np.argsort(order)
    return PointSources(xs[back], ys[back], flux[back], residual, weight_variance, _value_at(sky, x, y))


def _value_at(image: Real, x: Real, y: Real) -> Real:
    """Return the pixel value at each position; 0 outside the image."""
    col, row = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    inside = (row >= 0) & (row < image.shape[0]) & (col >= 0) & (col < image.shape[1])
    row, col = np.clip(row, 0, image.shape[0] - 1), np.clip(col, 0, image.shape[1] - 1)
    return np.nan_to_num(np.where(inside, image[row, col], 0.0), nan=0.0, posinf=0.0, neginf=0.0)
