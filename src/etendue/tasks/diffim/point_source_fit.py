"""Fit single point sources of either sign, one at a time, all at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.geom.box import Box
from etendue.image.exposure import Exposure
from etendue.image.psf import Psf

_STEP = 0.1  # finite difference of the PSF [px]
_MAX_MOVE = 0.6  # per iteration [px]


@dataclass(frozen=True, slots=True)
class PointSourceFit:
    """Fitted point sources; NaN where no pixel is usable.

    Parameters
    ----------
    x, y, x_err, y_err, xy_cov : ndarray, float64, shape (n,)
        Positions [px] with errors and covariance [px**2]; errors NaN for fixed positions.
    flux, flux_err : ndarray, float64, shape (n,)
        PSF flux at the position [image unit].
    chi2 : ndarray, float64, shape (n,)
        Of the pixels of the stamp.
    n_pixels : ndarray, int64, shape (n,)
        Pixels fitted.
    truncated : ndarray, bool, shape (n,)
        Some pixels of the stamp are missing or masked.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    x_err: NDArray[np.float64]
    y_err: NDArray[np.float64]
    xy_cov: NDArray[np.float64]
    flux: NDArray[np.float64]
    flux_err: NDArray[np.float64]
    chi2: NDArray[np.float64]
    n_pixels: NDArray[np.int64]
    truncated: NDArray[np.bool_]


def fit_point_sources(
    *,
    exposure: Exposure,
    psf: Psf,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    bad: NDArray[np.bool_],
    half: int,
    iterations: int,
    max_shift: float = 1.5,
) -> PointSourceFit:
    """Fit flux and, with ``iterations`` > 0, position of isolated point sources.

    Gauss-Newton on flux and position with the noise of the variance plane as it stands (no source noise
    is added, so that fluxes around zero are unbiased).

    Parameters
    ----------
    exposure : Exposure
        Image and variance; a positive or negative source.
    psf : Psf
        Its PSF.
    x, y : ndarray, float64, shape (n,)
        First positions, parent pixels.
    bad : ndarray, bool, shape (ny, nx)
        Pixels left out.
    half : int
        Half-size of the fitted stamps [px].
    iterations : int
        Position updates; 0 for forced photometry.
    max_shift : float
        Largest move from the first position [px] in each axis.

    Returns
    -------
    PointSourceFit
    """
    start_x, start_y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    x, y = start_x.copy(), start_y.copy()
    for _ in range(iterations):
        fit = _linear_fit(exposure, psf, x, y, bad, half)
        shift = np.nan_to_num(fit.amplitude[:, 1:] / fit.amplitude[:, :1], nan=0.0, posinf=0.0, neginf=0.0)
        shift = np.clip(shift, -_MAX_MOVE, _MAX_MOVE)
        x = np.clip(x + shift[:, 0], start_x - max_shift, start_x + max_shift)
        y = np.clip(y + shift[:, 1], start_y - max_shift, start_y + max_shift)
    fit = _linear_fit(exposure, psf, x, y, bad, half)
    usable = fit.psf_norm > 0.0
    norm = np.where(usable, fit.psf_norm, np.nan)
    flux = fit.psf_sum / norm
    missing = np.full(x.size, np.nan)
    position = fit.position_covariance(flux) if iterations else np.full((x.size, 2, 2), np.nan)
    return PointSourceFit(
        x=np.where(usable, x, missing),
        y=np.where(usable, y, missing),
        x_err=np.sqrt(position[:, 0, 0]),
        y_err=np.sqrt(position[:, 1, 1]),
        xy_cov=position[:, 0, 1],
        flux=flux,
        flux_err=1.0 / np.sqrt(norm),
        chi2=fit.square - flux * fit.psf_sum,
        n_pixels=fit.n_pixels,
        truncated=fit.n_pixels < (2 * half + 1) ** 2,
    )


@dataclass(frozen=True, slots=True)
class _LinearFit:
    """Normal equations of (flux, flux dx, flux dy), solved."""

    amplitude: NDArray[np.float64]  # (n, 3)
    covariance: NDArray[np.float64]  # (n, 3, 3)
    psf_sum: NDArray[np.float64]  # (n,) sum of weight x psf x data
    psf_norm: NDArray[np.float64]  # (n,) sum of weight x psf^2
    square: NDArray[np.float64]  # (n,) sum of weight x data^2
    n_pixels: NDArray[np.int64]  # (n,)

    def position_covariance(self, flux: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the covariance of (x, y) for sources of the given flux, shape (n, 2, 2)."""
        return np.asarray(self.covariance[:, 1:, 1:] / (flux**2)[:, None, None])


def _linear_fit(
    exposure: Exposure, psf: Psf, x: NDArray[np.float64], y: NDArray[np.float64], bad: NDArray[np.bool_], half: int
) -> _LinearFit:
    columns = np.rint(x).astype(np.int64)
    rows = np.rint(y).astype(np.int64)
    model = _drawn(psf, x, y, columns, rows, half)
    model_x = (_drawn(psf, x + _STEP, y, columns, rows, half) - _drawn(psf, x - _STEP, y, columns, rows, half)) / (
        2.0 * _STEP
    )
    model_y = (_drawn(psf, x, y + _STEP, columns, rows, half) - _drawn(psf, x, y - _STEP, columns, rows, half)) / (
        2.0 * _STEP
    )
    data, weight = gather_stamps(exposure, bad, columns, rows, half)
    design = np.stack([m.reshape(len(m), (2 * half + 1) ** 2) for m in (model, model_x, model_y)], axis=1)
    data, weight = (a.reshape(len(a), (2 * half + 1) ** 2) for a in (data, weight))
    weighted = design * weight[:, None, :]
    normal = weighted @ design.transpose(0, 2, 1)
    right = np.einsum("nkp,np->nk", weighted, data)
    covariance = np.asarray(np.linalg.pinv(normal, rcond=1e-12, hermitian=True), dtype=np.float64)
    return _LinearFit(
        amplitude=np.einsum("nij,nj->ni", covariance, right),
        covariance=covariance,
        psf_sum=right[:, 0],
        psf_norm=normal[:, 0, 0],
        square=(weight * data**2).sum(axis=1),
        n_pixels=(weight > 0.0).sum(axis=1),
    )


def gather_stamps(
    exposure: Exposure, bad: NDArray[np.bool_], columns: NDArray[np.int64], rows: NDArray[np.int64], half: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cut stamps of pixels and inverse variances around parent pixels.

    Parameters
    ----------
    exposure : Exposure
        Where to cut.
    bad : ndarray, bool, shape (ny, nx)
        Pixels of weight zero.
    columns, rows : ndarray, int64, shape (n,)
        Middle pixels, parent coordinates.
    half : int
        Half-size [px].

    Returns
    -------
    data, weight : ndarray, float64, shape (n, 2 half + 1, 2 half + 1)
        Both 0 where the pixel is bad, not finite or outside.
    """
    offset = np.arange(-half, half + 1)
    box: Box = exposure.bbox
    j = (rows - box.y.start)[:, None, None] + offset[None, :, None]
    i = (columns - box.x.start)[:, None, None] + offset[None, None, :]
    inside = (j >= 0) & (j < box.y.size) & (i >= 0) & (i < box.x.size)
    j, i = np.clip(j, 0, box.y.size - 1), np.clip(i, 0, box.x.size - 1)
    data = exposure.image.array[j, i].astype(np.float64)
    variance = exposure.variance.array[j, i].astype(np.float64)
    usable = inside & ~bad[j, i] & np.isfinite(data) & (variance > 0.0)
    return np.where(usable, data, 0.0), np.where(usable, 1.0 / np.where(usable, variance, 1.0), 0.0)


def _drawn(
    psf: Psf,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
    half: int,
) -> NDArray[np.float64]:
    """Draw PSFs on stamps centred on given pixels, shape (n, 2 half + 1, 2 half + 1)."""
    stamps = psf.draw(x=x, y=y)
    value, x0, y0 = np.asarray(stamps[0]), np.asarray(stamps[1]), np.asarray(stamps[2])
    offset = np.arange(-half, half + 1)
    j = (rows - y0)[:, None, None] + offset[None, :, None]
    i = (columns - x0)[:, None, None] + offset[None, None, :]
    size = value.shape[1]
    inside = (j >= 0) & (j < size) & (i >= 0) & (i < size)
    n = np.arange(len(value))[:, None, None]
    return np.where(inside, value[n, np.clip(j, 0, size - 1), np.clip(i, 0, size - 1)], 0.0)
