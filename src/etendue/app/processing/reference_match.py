"""How the sources of a calibrated frame compare with the reference stars."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.geom.sphere import tangent_plane
from etendue.image.exposure import Exposure
from etendue.refcat.sample import ReferenceSample
from etendue.table.table import Table
from etendue.tasks.match.sky import MatchSkyConfig, MatchSkyTask

_NJY_ZERO_POINT_MAG = 31.4
_BRIGHT_SNR, _FEWEST_BRIGHT = 50.0, 10


@dataclass(frozen=True, eq=False)
class ReferenceMatch:
    """Matched sources, one entry each.

    Parameters
    ----------
    x, y : ndarray, float64, shape (n,)
        Where they are [px].
    east_mas, north_mas : ndarray, float64, shape (n,)
        Source minus reference [mas].
    mag : ndarray, float64, shape (n,)
        Reference magnitude in the band (AB); NaN where there is none.
    mag_residual : ndarray, float64, shape (n,)
        Source minus reference [mag]; NaN where one is not positive, or on a relative scale.
    snr : ndarray, float64, shape (n,)
        Signal-to-noise ratio of the source.
    fit_position, fit_flux : ndarray, bool, shape (n,)
        Whether the source took part in the WCS and in the zero point.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    east_mas: NDArray[np.float64]
    north_mas: NDArray[np.float64]
    mag: NDArray[np.float64]
    mag_residual: NDArray[np.float64]
    snr: NDArray[np.float64]
    fit_position: NDArray[np.bool_]
    fit_flux: NDArray[np.bool_]

    @property
    def bright(self) -> NDArray[np.bool_]:
        """Stars in the WCS whose noise says little: S/N above 50, or all where those are fewer than ten."""
        chosen = self.fit_position & (self.snr > _BRIGHT_SNR)
        return chosen if chosen.sum() >= _FEWEST_BRIGHT else self.fit_position

    @property
    def rms_mas(self) -> float:
        """Scatter per axis of the bright stars in the WCS, from the median distance [mas]; NaN without stars."""
        distance = np.hypot(self.east_mas, self.north_mas)[self.bright]
        return float(np.median(distance) / np.sqrt(2.0 * np.log(2.0))) if distance.size else float("nan")

    @property
    def rms_mag(self) -> float:
        """Robust scatter of the bright stars in the zero point [mag]; NaN without stars."""
        values = self.mag_residual[self.fit_flux & self.bright & np.isfinite(self.mag_residual)]
        return float(1.4826 * np.median(np.abs(values - np.median(values)))) if values.size else float("nan")


def match_reference(exposure: Exposure, sources: Table, reference: Table, *, radius_px: float = 2.0) -> ReferenceMatch:
    """Match sources with reference stars at the epoch of the exposure.

    Parameters
    ----------
    exposure : Exposure
        With its final WCS and flux scale.
    sources : Table
        Its sources.
    reference : Table
        Schema ``refcat``.
    radius_px : float
        Largest distance of a pair [px].

    Returns
    -------
    ReferenceMatch
    """
    assert exposure.wcs is not None
    epoch = exposure.visit_info.mjd_tai if exposure.visit_info else None
    sample = ReferenceSample.from_shards([reference], epoch_mjd=epoch)
    radius = radius_px * float(exposure.wcs.pixel_scale())
    matches = MatchSkyTask(MatchSkyConfig(radius_arcsec=radius)).run(
        ra1_deg=sources["ra"], dec1_deg=sources["dec"], ra2_deg=sample.ra_deg, dec2_deg=sample.dec_deg
    )
    rows, stars = matches.first, matches.second
    xi, eta = tangent_plane(sources["ra"][rows], sources["dec"][rows], sample.ra_deg[stars], sample.dec_deg[stars])
    mag, difference = _magnitudes(exposure, sources, sample, rows, stars)
    return ReferenceMatch(
        x=np.asarray(sources["x"][rows]), y=np.asarray(sources["y"][rows]), east_mas=xi * 3.6e6, north_mas=eta * 3.6e6,
        mag=mag, mag_residual=difference, snr=np.asarray(sources["snr"][rows], float),
        fit_position=np.asarray(sources["calib_astrometry_used"][rows], bool),
        fit_flux=np.asarray(sources["calib_photometry_used"][rows], bool),
    )  # fmt: skip


def _magnitudes(
    exposure: Exposure, sources: Table, sample: ReferenceSample, rows: NDArray[np.int64], stars: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    fluxes = sample.flux_in(exposure.band)
    if fluxes is None:
        return np.full(rows.size, np.nan), np.full(rows.size, np.nan)
    reference = np.where(fluxes[0][stars] > 0.0, fluxes[0][stars], np.nan)
    mag = _NJY_ZERO_POINT_MAG - 2.5 * np.log10(reference)
    absolute = exposure.photo_calib is not None and exposure.photo_calib.kind == "absolute"
    measured = np.asarray(sources["psfFlux"][rows], float)
    measured = np.where((measured > 0.0) & absolute, measured, np.nan)
    return mag, -2.5 * np.log10(measured / reference)
