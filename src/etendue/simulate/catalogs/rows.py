"""Columns of the project's tables from measurements."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.catalogs.footprint import Footprint
from etendue.simulate.catalogs.measured import Measured
from etendue.simulate.night.planned_exposure import PlannedExposure

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """Where detections are; columns of shape (n,).

    Parameters
    ----------
    row : ndarray, int64
        Row of the detector in the footprint.
    ra_deg, dec_deg : ndarray, float64
        Measured position [deg].
    x, y : ndarray, float64
        The same in trimmed pixels.
    """

    row: Rows
    ra_deg: Vector
    dec_deg: Vector
    x: Vector
    y: Vector

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "Located":
        """Return some rows.

        Parameters
        ----------
        rows : ndarray
            Row numbers or a mask.

        Returns
        -------
        Located
        """
        return Located(self.row[rows], self.ra_deg[rows], self.dec_deg[rows], self.x[rows], self.y[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What all rows of a table of one exposure share.

    Parameters
    ----------
    exposure : PlannedExposure
        The exposure.
    physical_filter : str
        Its filter.
    footprint : Footprint
        Detectors.
    axes : ndarray, float64, shape (2, 2)
        Field angles per arcsec towards east and north, in units of their size: a rotation, perhaps mirrored.
    plate_scale : float
        [arcsec/px].
    psf_arcsec : float
        Standard deviation of the PSF [arcsec].
    """

    exposure: PlannedExposure
    physical_filter: str
    footprint: Footprint
    axes: Vector
    plate_scale: float
    psf_arcsec: float

    def in_pixels(self, row: Rows, east: Vector, north: Vector, mixed: Vector) -> tuple[Vector, Vector, Vector]:
        """Turn second moments on the sky to the axes of detectors.

        Parameters
        ----------
        row : ndarray, int64, shape (n,)
            Rows of detectors.
        east, north, mixed : ndarray, float64, shape (n,)
            Moments [arcsec**2].

        Returns
        -------
        xx, yy, xy : ndarray, float64, shape (n,)
            [px**2].
        """
        turn = np.radians(self.footprint.turn_deg[row])
        cosine, sine = np.cos(turn), np.sin(turn)
        (a, b), (c, d) = self.axes / self.plate_scale
        xe, xn = cosine * a + sine * c, cosine * b + sine * d
        ye, yn = cosine * c - sine * a, cosine * d - sine * b
        return (
            xe**2 * east + xn**2 * north + 2.0 * xe * xn * mixed,
            ye**2 * east + yn**2 * north + 2.0 * ye * yn * mixed,
            xe * ye * east + xn * yn * north + (xe * yn + xn * ye) * mixed,
        )


def common_columns(frame: Frame, key: Rows, located: Located, measured: Measured) -> Columns:
    """Return what ``source`` and ``dia_source`` have in common, apart from the key.

    Parameters
    ----------
    frame : Frame
        The exposure.
    key : ndarray, int64, shape (n,)
        Ids.
    located : Located
        Places.
    measured : Measured
        Measurements.

    Returns
    -------
    dict of ndarray
    """
    n, exposure = key.size, frame.exposure
    xx, yy, xy = frame.in_pixels(located.row, measured.east_var, measured.north_var, measured.east_north)
    return {
        "visit": np.full(n, exposure.exposure), "detector": frame.footprint.ids[located.row],
        "band": np.full(n, exposure.band), "physical_filter": np.full(n, frame.physical_filter),
        "midpointMjdTai": np.full(n, exposure.mjd_tai_mid), "exposureTime": np.full(n, exposure.exposure_time_s),
        "ra": located.ra_deg, "dec": located.dec_deg, "x": located.x, "y": located.y,
        "raErr": np.sqrt(measured.east_var) / 3600.0, "decErr": np.sqrt(measured.north_var) / 3600.0,
        "ra_dec_Cov": measured.east_north / 3600.0**2,
        "xErr": np.sqrt(xx), "yErr": np.sqrt(yy), "x_y_Cov": xy,
        "psfFlux": measured.psf_flux, "psfFluxErr": measured.psf_flux_err,
        "snr": np.abs(measured.snr), "extendedness": measured.extendedness,
    }  # fmt: skip


def source_columns(frame: Frame, key: Rows, located: Located, measured: Measured) -> Columns:
    """Return the columns of ``source``.

    Parameters
    ----------
    frame : Frame
        The exposure.
    key : ndarray, int64, shape (n,)
        Ids.
    located : Located
        Places.
    measured : Measured
        Measurements.

    Returns
    -------
    dict of ndarray
    """
    ixx, iyy, ixy = frame.in_pixels(located.row, measured.ixx, measured.iyy, measured.ixy)
    psf = np.full(key.size, (frame.psf_arcsec / frame.plate_scale) ** 2)
    return common_columns(frame, key, located, measured) | {
        "sourceId": key, "calibFlux": measured.total_flux, "calibFluxErr": measured.total_flux_err,
        "ixx": ixx, "iyy": iyy, "ixy": ixy, "ixxErr": ixx * measured.moment_err, "iyyErr": iyy * measured.moment_err,
        "ixyErr": np.sqrt(0.5 * ixx * iyy) * measured.moment_err, "ixxPSF": psf, "iyyPSF": psf,
        "ixyPSF": np.zeros(key.size), "detect_isPrimary": np.ones(key.size, np.bool_),
    }  # fmt: skip


def dia_source_columns(
    frame: Frame, key: Rows, located: Located, measured: Measured, is_dipole: NDArray[np.bool_]
) -> Columns:
    """Return the columns of ``dia_source``.

    Parameters
    ----------
    frame : Frame
        The exposure.
    key : ndarray, int64, shape (n,)
        Ids.
    located : Located
        Places.
    measured : Measured
        Measurements.
    is_dipole : ndarray, bool, shape (n,)
        Whether there is a negative lobe beside a positive one.

    Returns
    -------
    dict of ndarray
    """
    psf = np.full(key.size, frame.psf_arcsec**2)
    east, north = np.sqrt(measured.east_var) / 3600.0, np.sqrt(measured.north_var) / 3600.0
    return common_columns(frame, key, located, measured) | {
        "diaSourceId": key, "isNegative": measured.psf_flux < 0.0, "isDipole": is_dipole,
        "scienceFlux": measured.science_flux, "scienceFluxErr": measured.science_flux_err,
        "templateFlux": measured.template_flux, "templateFluxErr": measured.template_flux_err,
        "trailFlux": measured.trail_flux, "trailFluxErr": measured.trail_flux_err,
        "trailRa": located.ra_deg, "trailDec": located.dec_deg, "trailRaErr": east, "trailDecErr": north,
        "trailLength": measured.length, "trailLengthErr": measured.length_err,
        "trailAngle": measured.bearing_deg, "trailAngleErr": measured.bearing_err_deg,
        "ixx": measured.ixx, "iyy": measured.iyy, "ixy": measured.ixy,
        "ixxPSF": psf, "iyyPSF": psf, "ixyPSF": np.zeros(key.size),
    }  # fmt: skip
