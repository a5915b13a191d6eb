"""Summary statistics of one exposure with LSST's names and definitions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy.spatial import cKDTree

from etendue.image.exposure import Exposure
from etendue.image.psf import Psf
from etendue.table.table import Table
from etendue.tasks.task import Task, TaskConfig

Vector = NDArray[np.float64]

_SIGMA_PER_MAD = 1.482602218505602


class ExposureSummaryConfig(TaskConfig):
    """Where the PSF is looked at."""

    psf_sampling_px: int = Field(96, ge=1)
    """Distance of the grid points at which the PSF model is evaluated [px]; an eighth of the detector if that is
    less."""

    star_sampling_px: int = Field(8, ge=1)
    """Distance of the grid points whose nearest PSF star is looked for [px]."""

    bad_planes: tuple[str, ...] = ("NO_DATA", "BAD", "VIGNETTED")
    """Masked pixels do not count."""


class ExposureSummaryTask(Task[ExposureSummaryConfig]):
    """Summarise how well and how evenly the PSF is known, as LSST's `computeExposureSummaryStats` does."""

    def run(self, *, exposure: Exposure, sources: Mapping[str, Any] | Table) -> dict[str, float]:
        """Summarise one exposure.

        Parameters
        ----------
        exposure : Exposure
            With its mask and PSF.
        sources : mapping of str to array_like, or Table
            Its sources with ``x``, ``y``, ``calib_psf_used``, ``ixx``..., ``ixxPSF``... .

        Returns
        -------
        dict of str to float
            `psf_star_residuals`, `psf_variation`, and ``maxDistToNearestPsf`` [px]; empty without a PSF.
        """
        if exposure.psf is None:
            return {}
        used = np.flatnonzero(np.asarray(sources["calib_psf_used"], bool))
        star, model = (
            np.stack([np.asarray(sources[f"i{axes}{whose}"], np.float64)[used] for axes in ("xx", "yy", "xy")])
            for whose in ("", "PSF")
        )
        bad = exposure.mask.any_of(self.config.bad_planes)
        x0, y0 = exposure.bbox.x.start, exposure.bbox.y.start
        step = min(self.config.psf_sampling_px, max(1, min(bad.shape) // 8))
        x, y = _grid(bad, step)
        star_x, star_y = (np.asarray(sources[name], np.float64)[used] for name in ("x", "y"))
        all_x, all_y = _grid(bad, self.config.star_sampling_px)
        return {
            **psf_star_residuals(star, model),
            **psf_variation(exposure.psf, x + x0, y + y0),
            "maxDistToNearestPsf": farthest_from_stars(all_x + x0, all_y + y0, star_x, star_y),
        }


def psf_star_residuals(star: Vector, model: Vector) -> dict[str, float]:
    """Compare the second moments of the PSF stars with those of the PSF model at their places.

    Parameters
    ----------
    star, model : ndarray, float64, shape (3, n)
        ``ixx``, ``iyy``, ``ixy`` [px**2]; stars with a number that is not finite are left out.

    Returns
    -------
    dict of str to float
        Median and scatter (1.4826 times the median absolute deviation) of star minus model: ``psfStarDeltaE1Median``,
        ``psfStarDeltaE1Scatter``, the same of ``E2``, with ``e1 = (ixx - iyy) / (ixx + iyy)`` and
        ``e2 = 2 ixy / (ixx + iyy)``; ``psfStarDeltaSizeMedian``, ``psfStarDeltaSizeScatter`` of the determinant
        radius ``(ixx iyy - ixy**2)**0.25`` [px]; ``psfStarScaledDeltaSizeScatter``, over the squared median size of
        the model. NaN without stars.
    """
    good = np.isfinite(star).all(axis=0) & np.isfinite(model).all(axis=0)
    star, model = star[:, good], model[:, good]
    sizes = [determinant_radius(*moments) for moments in (star, model)]
    ellipticities = [((m[0] - m[1]) / (m[0] + m[1]), 2.0 * m[2] / (m[0] + m[1])) for m in (star, model)]
    found: dict[str, float] = {}
    for name, delta in (
        ("E1", ellipticities[0][0] - ellipticities[1][0]),
        ("E2", ellipticities[0][1] - ellipticities[1][1]),
        ("Size", sizes[0] - sizes[1]),
    ):
        found[f"psfStarDelta{name}Median"] = _median(delta)
        found[f"psfStarDelta{name}Scatter"] = _SIGMA_PER_MAD * _median(np.abs(delta - _median(delta)))
    found["psfStarScaledDeltaSizeScatter"] = found["psfStarDeltaSizeScatter"] / _median(sizes[1]) ** 2
    return found


def psf_variation(psf: Psf, x: Vector, y: Vector) -> dict[str, float]:
    """Measure by how much the PSF model varies over places.

    Parameters
    ----------
    psf : Psf
        The model.
    x, y : ndarray, float64, shape (n,)
        Places [px].

    Returns
    -------
    dict of str to float
        ``psfTraceRadiusDelta``, largest minus smallest ``((ixx + iyy) / 2)**0.5`` [px]; ``psfApFluxDelta``, largest
        minus smallest share of the PSF inside an aperture of three times the mean sigma, at least 2 px;
        ``psfApCorrSigmaScaledDelta``, the same for an aperture of three times the local sigma; NaN without places.
    """
    names = ("psfTraceRadiusDelta", "psfApFluxDelta", "psfApCorrSigmaScaledDelta")
    if x.size == 0:
        return dict.fromkeys(names, float("nan"))
    ixx, iyy, ixy = psf.moments(x=x, y=y)
    sigma = determinant_radius(ixx, iyy, ixy)
    radii = np.full(x.size, max(2.0, 3.0 * float(np.mean(sigma)))), np.maximum(2.0, 3.0 * sigma)
    # Stamps around whole pixels: the share then does not depend on the sub-pixel phase of the place.
    stamps = psf.draw(x=np.rint(x), y=np.rint(y)).value
    shares = [_inside(stamps, radius) for radius in radii]
    trace = np.sqrt(0.5 * (ixx + iyy))
    return dict(zip(names, (float(np.ptp(values)) for values in (trace, *shares)), strict=True))


def farthest_from_stars(x: Vector, y: Vector, star_x: Vector, star_y: Vector) -> float:
    """Return the largest distance of a place to its nearest star.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Places [px].
    star_x, star_y : ndarray, float64, shape (m,)
        Stars [px].

    Returns
    -------
    float
        The distance [px]; NaN without places or stars.
    """
    if x.size == 0 or star_x.size == 0:
        return float("nan")
    distance, _ = cKDTree(np.stack([star_x, star_y], axis=1)).query(np.stack([x, y], axis=1))
    return float(distance.max())


def determinant_radius(ixx: ArrayLike, iyy: ArrayLike, ixy: ArrayLike) -> Vector:
    """Return the size of second moments that LSST calls sigma.

    Parameters
    ----------
    ixx, iyy, ixy : array_like
        Second moments [px**2].

    Returns
    -------
    ndarray, float64
        ``(ixx iyy - ixy**2)**0.25`` [px]; NaN where the determinant is negative.
    """
    determinant = np.asarray(ixx, np.float64) * np.asarray(iyy, np.float64) - np.asarray(ixy, np.float64) ** 2
    return np.asarray(np.where(determinant >= 0.0, np.maximum(determinant, 0.0) ** 0.25, np.nan))


def limiting_magnitude(*, zero_point_mag: float, noise: float, psf_area: float, snr: float = 5.0) -> float:
    """Return the magnitude of a point source that reaches a signal-to-noise ratio.

    Parameters
    ----------
    zero_point_mag : float
        Magnitude of one electron.
    noise : float
        Sky and read noise of a pixel [electron].
    psf_area : float
        Effective area of the PSF [px].
    snr : float
        The ratio.

    Returns
    -------
    float
        DMTN-296, equation for the point-source depth: ``F**2 = snr**2 (F + area noise**2)``, the noise of the source
        included [mag].
    """
    flux = 0.5 * snr**2 + np.sqrt(0.25 * snr**4 + snr**2 * psf_area * noise**2)
    return float(zero_point_mag - 2.5 * np.log10(flux))


def effective_time(
    *,
    exposure_time_s: float,
    psf_sigma_px: float,
    sky_electron: float,
    zero_point_mag: float,
    fiducial_psf_sigma_px: float,
    fiducial_sky_electron_per_s: float,
    fiducial_zero_point_mag: float,
) -> dict[str, float]:
    """Return the time in which fiducial conditions would give the same depth.

    Parameters
    ----------
    exposure_time_s : float
        Exposure time [s].
    psf_sigma_px, sky_electron, zero_point_mag : float
        PSF size [px], sky level [electron] and magnitude of one electron of the exposure.
    fiducial_psf_sigma_px, fiducial_sky_electron_per_s, fiducial_zero_point_mag : float
        PSF size [px], sky [electron/s] and magnitude of one electron per second of the fiducial conditions.

    Returns
    -------
    dict of str to float
        ``effTimePsfSigmaScale``, ``effTimeSkyBgScale``, ``effTimeZeroPointScale`` and their product with the
        exposure time, ``effTime`` [s].

    Notes
    -----
    DMTN-296 and `computeExposureSummaryStats`: ``(sigma / sigma0)**-2``, ``(sky / (sky0 t))**-1``,
    ``10**(0.8 (zp - zp0 - 2.5 log10 t))``.
    """
    psf = (psf_sigma_px / fiducial_psf_sigma_px) ** -2.0
    sky = fiducial_sky_electron_per_s * exposure_time_s / sky_electron if sky_electron > 0.0 else float("nan")
    throughput = 10.0 ** (0.8 * (zero_point_mag - fiducial_zero_point_mag - 2.5 * np.log10(exposure_time_s)))
    return {
        "effTimePsfSigmaScale": float(psf),
        "effTimeSkyBgScale": float(sky),
        "effTimeZeroPointScale": float(throughput),
        "effTime": float(exposure_time_s * psf * sky * throughput),
    }


def _grid(bad: NDArray[np.bool_], step: int) -> tuple[Vector, Vector]:
    """Return the unmasked pixels of a grid."""
    rows, columns = (np.arange(size % step // 2, size, step) for size in bad.shape)
    row, column = (grid.ravel() for grid in np.meshgrid(rows, columns, indexing="ij"))
    good = ~bad[row, column]
    return column[good].astype(np.float64), row[good].astype(np.float64)


def _inside(stamps: Vector, radius: Vector) -> Vector:
    """Return the share of stamps inside apertures, pixels at the rim by how far they reach in."""
    half = stamps.shape[-1] // 2
    offset = np.arange(stamps.shape[-1]) - half
    distance = np.hypot(offset[:, None], offset[None, :])
    weight = np.clip(radius[:, None, None] - distance + 0.5, 0.0, 1.0)
    return np.asarray((stamps * weight).sum(axis=(1, 2)))


def _median(values: Vector) -> float:
    return float(np.median(values)) if values.size else float("nan")
