"""Dipoles on differences, in the columns of ``dia_source``."""

import numpy as np
from numpy.typing import NDArray

from etendue.image.exposure import Exposure
from etendue.image.psf import PixelBasisPsf, pixel_basis_of
from etendue.kernels.dipole import fit_dipoles

Real = NDArray[np.float64]
_HALF, _REACH = 3.0, 2.0  # FWHM: half of the window's side, and the farthest a lobe may lie from the source
_NAMES = (
    *("dipoleMeanFlux", "dipoleMeanFluxErr", "dipoleFluxDiff", "dipoleFluxDiffErr", "dipoleLength", "dipoleAngle"),
    "dipoleChi2",
)


def dipole_columns(
    difference: Exposure, bad: NDArray[np.bool_], x: Real, y: Real, fwhm: float, candidate: NDArray[np.bool_]
) -> dict[str, NDArray]:
    """Fit two point sources of opposite sign to the candidates.

    Parameters
    ----------
    difference : Exposure
        With PSF and WCS.
    bad : ndarray, bool, shape (ny, nx)
        Pixels that do not count.
    x, y : ndarray, float64, shape (n,)
        Sources, parent pixels.
    fwhm : float
        Of the PSF [px].
    candidate : ndarray, bool, shape (n,)
        Which to fit.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        Mean and difference of the lobes' absolute fluxes [image unit], their separation [arcsec] and its bearing from
        the negative to the positive lobe [deg east of north], chi-square and number of pixels; NaN or 0 where no
        dipole was fitted.
    """
    columns: dict[str, NDArray] = {name: np.full(x.size, np.nan) for name in _NAMES}
    columns |= {"dipoleNdata": np.zeros(x.size, np.int32), "dipoleFitAttempted": candidate.copy()}
    if not candidate.any():
        return columns
    theta, covariance, chi2 = _fit(difference, bad, x[candidate], y[candidate], fwhm)
    positive, negative = theta[:, 0], theta[:, 3]
    cross, both = covariance[:, 0, 3], covariance[:, 0, 0] + covariance[:, 3, 3]
    separation, bearing = _on_the_sky(difference, theta)
    values = (
        0.5 * (positive + negative), 0.5 * np.sqrt(both + 2.0 * cross), positive - negative,
        np.sqrt(both - 2.0 * cross), separation, bearing, chi2[:, 0],
    )  # fmt: skip
    for name, value in zip(_NAMES, values, strict=True):
        columns[name][candidate] = value
    columns["dipoleNdata"][candidate] = np.nan_to_num(chi2[:, 2]).astype(np.int32)
    return columns


def _fit(difference: Exposure, bad: NDArray[np.bool_], x: Real, y: Real, fwhm: float) -> tuple[Real, Real, Real]:
    """Return parameters of the lobes in array pixels, covariances and chi-squares, as `fit_dipoles` does."""
    assert difference.psf is not None
    box, n, none = difference.bbox, x.size, np.zeros(x.size, np.int64)
    psf = difference.psf
    if not isinstance(psf, PixelBasisPsf):
        psf = pixel_basis_of(psf, x=[box.x.center], y=[box.y.center])
    image = difference.image.array.astype(np.float64)
    variance = difference.variance.array.astype(np.float64)
    unusable = bad | ~np.isfinite(image) | ~(variance > 0.0)
    correlation = np.ones((1, 1)) if difference.noise is None else np.ascontiguousarray(difference.noise.kernel)
    found: tuple[Real, Real, Real] = fit_dipoles(
        np.where(unusable, 0.0, image), np.where(unusable, np.inf, variance), unusable, np.zeros(0, np.float32),
        np.zeros(n + 1, np.int64), none, none, none, none, x - box.x.start, y - box.y.start, np.ones(n), psf.components,
        psf.terms(x=x, y=y), psf.step, int(np.ceil(_HALF * fwhm)), _REACH * fwhm, correlation,
    )  # fmt: skip
    return found


def _on_the_sky(difference: Exposure, theta: Real) -> tuple[Real, Real]:
    """Return separation [arcsec] and bearing [deg] from the negative to the positive lobe."""
    assert difference.wcs is not None
    box = difference.bbox
    middle_x, middle_y = (
        0.5 * (theta[:, 1] + theta[:, 4]) + box.x.start,
        0.5 * (theta[:, 2] + theta[:, 5]) + box.y.start,
    )
    jacobian = difference.wcs.jacobian(x=np.nan_to_num(middle_x), y=np.nan_to_num(middle_y))
    step = np.stack([theta[:, 1] - theta[:, 4], theta[:, 2] - theta[:, 5]], axis=1)
    east, north = np.einsum("nij,nj->ni", jacobian, step).T
    return np.hypot(east, north), np.degrees(np.arctan2(east, north)) % 360.0
