"""Model an image as a sum of point sources: weights, order and rounds of the joint fit, on plain arrays."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from etendue.kernels.centroid import fit_sources
from etendue.kernels.local_background import cell_levels, cells_at, significant_levels, subtract_cells
from etendue.kernels.psf import draw_pixel_basis
from etendue.kernels.types import BOOL_2D, F64, F64_2D, F64_2D_OUT, I64

Real = NDArray[np.float64]

_COLUMN = types.Array(types.float64, 1, "C")
_NOISE_SAMPLE = 1e6  # pixels of which the sky variance is the median: more do not make it better
_DIVERGED = 1e3  # peak of a source over the largest pixel value at any source: no saturated core hides as much


class PointSources(NamedTuple):
    """Point sources fitted to an image, in array pixels and in the order given."""

    x: Real  # (n,)
    y: Real  # (n,)
    flux: Real  # (n,), NaN where no pixel was usable
    residual: Real  # (ny, nx), image minus all sources
    weight_variance: Real  # (ny, nx), variance of the model, not of the data; infinite where unusable
    sky: Real  # (n,), local background subtracted at each source
    slope: float  # rise of the variance with the pixel value
    side: NDArray[np.int64]  # (n,), side of the stamp that was subtracted of each source [px]
    diverged: bool  # whether the fluxes ran away instead of settling: nothing of the fit can be used


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


class PixelNoise(NamedTuple):
    """Noise of an image's pixels."""

    sky_variance: float  # median of the variance plane; NaN without usable pixel
    slope: float  # rise of the variance with the pixel value: 1 / gain, or 0 where it does not


def pixel_noise(image: Real, variance: Real, bad: NDArray[np.bool_]) -> PixelNoise:
    """Estimate the variance of the sky, and how fast the variance plane rises with the pixel value.

    Parameters
    ----------
    image, variance : ndarray, float64, shape (ny, nx)
        Background-subtracted image and variance plane.
    bad : ndarray, bool, shape (ny, nx)
        Unusable pixels; others that are not finite count as such.

    Returns
    -------
    PixelNoise
        Median of V over a lattice of at most some million pixels, and median of (V - V_sky) / I over all pixels 20
        sigma above the sky; 0 if there are fewer than 10.
    """
    usable = _usable_values(variance, image, bad, 1 + int(np.sqrt(image.size / _NOISE_SAMPLE)))
    if not usable.size:
        return PixelNoise(np.nan, 0.0)
    sky = float(np.median(usable, overwrite_input=True))
    rises = _rises(image, variance, bad, sky)
    return PixelNoise(sky, max(0.0, float(np.median(rises))) if rises.size >= 10 else 0.0)


@njit([_COLUMN(F64_2D, F64_2D, BOOL_2D, I64)], cache=True, nogil=True, error_model="numpy")
def _usable_values(variance, image, bad, step):
    """Return the variances of the usable pixels of every so manieth row and column."""
    ny, nx = image.shape
    values, n = np.empty(((ny + step - 1) // step) * ((nx + step - 1) // step)), 0
    for y in range(0, ny, step):
        for x in range(0, nx, step):
            if not bad[y, x] and np.isfinite(image[y, x]) and np.isfinite(variance[y, x]):
                values[n] = variance[y, x]
                n += 1
    return values[:n]


@njit([_COLUMN(F64_2D, F64_2D, BOOL_2D, F64)], cache=True, nogil=True, error_model="numpy")
def _rises(image, variance, bad, sky):
    """Return (V - V_sky) / I of the usable pixels more than 20 sigma above the sky."""
    ny, nx = image.shape
    limit, n = 20.0 * np.sqrt(sky), 0
    for y in range(ny):
        for x in range(nx):
            n += not bad[y, x] and limit < image[y, x] < np.inf and np.isfinite(variance[y, x])
    values, k = np.empty(n), 0
    for y in range(ny):
        for x in range(nx):
            if not bad[y, x] and limit < image[y, x] < np.inf and np.isfinite(variance[y, x]):
                values[k] = (variance[y, x] - sky) / image[y, x]
                k += 1
    return values


@njit([types.void(F64_2D, F64_2D, F64, BOOL_2D, F64_2D_OUT)], cache=True, nogil=True, error_model="numpy")
def model_variance(variance, residual, slope, bad, out):
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
    out : ndarray, float64, shape (ny, nx)
        Output: ``V - slope * residual``, not below a hundredth of V nor above 4 V; infinite where unusable. May be
        ``variance`` or ``residual``.
    """
    ny, nx = variance.shape
    for y in range(ny):
        for x in range(nx):
            v, r = variance[y, x], residual[y, x]
            smooth = min(max(v - slope * r, 0.01 * v), 4.0 * v)
            out[y, x] = smooth if not bad[y, x] and v > 0.0 and np.isfinite(r) else np.inf


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
    sky_significance: float = 0.0,
    noise: PixelNoise | None = None,
    not_sky: Callable[[PointSources], NDArray[np.bool_]] | None = None,
) -> PointSources:
    """Fit flux and position of all sources of an image together.

    The first round weights by the sky noise, later ones by the noise of the model; between rounds a local background
    is taken from the image minus all sources. Each source has weights of its own: what the PSF may be wrong by counts
    as noise in its own core only. Where bright sources overlap that need not settle; all are then fitted once more with
    the error of the whole model as noise for everybody, which descends to a common minimum.

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
    sky_significance : float
        Errors that the background of a cell must exceed to be subtracted; 0 to subtract it as it is.
    noise : PixelNoise, optional
        Noise of the pixels, if it is known already.
    not_sky : callable, optional
        Told the fit after the first round, returns which pixels the local background is not to be taken from.

    Returns
    -------
    PointSources
        Fluxes, positions, residual image, weights, and whether they diverged.
    """
    half = int(np.ceil(radius)) + 1
    noise = pixel_noise(image, variance, bad) if noise is None else noise
    order, n_wide, limit = _brightest_first(image, noise, components, terms, step, half, x, y)
    narrow, back, start = narrow_components(components, step, half), np.argsort(order), (x[order], y[order])
    side = np.where(back < n_wide, size, 2 * half + 1)

    def fitted(own: float, common: float) -> PointSources:
        residual, no_sky, sky = np.where(np.isfinite(image), image, 0.0), bad, np.zeros(x.size)
        xs, ys, flux, weight_variance = start[0].copy(), start[1].copy(), np.zeros(x.size), np.empty_like(residual)
        for k, visits in enumerate(sweeps):
            model_variance(variance, residual, noise.slope, bad, weight_variance)
            weights = _with_mismatch(weight_variance, image, residual, common, k) if common else weight_variance
            fit_sources(
                residual, weights, components, narrow, np.ascontiguousarray(terms[order]), step,
                xs, ys, flux, *start, free[order], n_wide, size, 2 * half + 1, radius, own, max_shift, visits,
            )  # fmt: skip
            diverged = not np.abs(flux).max(initial=0.0) <= limit
            fit = PointSources(
                xs[back], ys[back], flux[back], residual, weight_variance, sky, noise.slope, side, diverged
            )
            if sky_cell and k < len(sweeps) - 1 and not diverged:
                no_sky = bad | not_sky(fit) if not_sky is not None and k == 0 else no_sky
                cells = _take_sky(residual, variance, no_sky, sky_cell, sky_significance)
                sky += cells_at(cells, sky_cell, np.rint(x), np.rint(y)) * _inside(image, x, y)
        return fit

    fit = fitted(softening, 0.0)
    return fitted(0.0, softening) if fit.diverged else fit


def _brightest_first(
    image: Real, noise: PixelNoise, components: Real, terms: Real, step: float, half: int, x: Real, y: Real
) -> tuple[NDArray[np.int64], int, float]:
    """Return the order of the sources, how many need whole stamps, and what no flux may exceed."""
    guess = _value_at(image, x, y)
    middle = terms.mean(axis=0, keepdims=True) if len(terms) else np.eye(1, terms.shape[1])
    stamp = draw_pixel_basis(components, middle, step, np.zeros(1), np.zeros(1), 2 * half + 1)
    edge = float(np.mean(stamp[0, [half, half, 0, -1], [0, -1, half, half]]))
    faintest = 0.2 * np.sqrt(noise.sky_variance) if np.isfinite(noise.sky_variance) else 0.2
    n_wide = int(np.count_nonzero(guess * edge / stamp.max() > faintest))
    limit = _DIVERGED * max(np.abs(guess).max(initial=0.0), faintest) / stamp.max()
    return np.argsort(-guess, kind="stable"), n_wide, float(limit)


def _with_mismatch(weight_variance: Real, image: Real, residual: Real, softening: float, k: int) -> Real:
    """Return variances to which the error of the model is added: of the data before the first round."""
    model = np.nan_to_num(image) if k == 0 else np.nan_to_num(image) - residual
    return weight_variance + (softening * model) ** 2


def _take_sky(residual: Real, variance: Real, no_sky: NDArray[np.bool_], cell: int, significance: float) -> Real:
    """Subtract the local background in place, as far as it is significant, and return it in cells."""
    level, error = cell_levels(residual, variance, no_sky, cell)
    cells = significant_levels(level, error, significance) if significance else level
    subtract_cells(residual, cells, cell)
    return cells


def _inside(image: Real, x: Real, y: Real) -> NDArray[np.bool_]:
    """Tell which positions are on the image."""
    col, row = np.rint(x), np.rint(y)
    return (row >= 0) & (row < image.shape[0]) & (col >= 0) & (col < image.shape[1])


def _value_at(image: Real, x: Real, y: Real) -> Real:
    """Return the pixel value at each position; 0 outside the image."""
    col, row = (np.clip(np.rint(p).astype(np.int64), 0, n - 1) for p, n in zip((x, y), image.shape[::-1], strict=True))
    return np.nan_to_num(np.where(_inside(image, x, y), image[row, col], 0.0), nan=0.0, posinf=0.0, neginf=0.0)
