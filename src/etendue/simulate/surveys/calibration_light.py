"""The light of calibration frames: a screen, the evening sky, the spots of a projector."""

import numpy as np
from numpy.typing import NDArray

from etendue.camera.airmass import airmass_of_altitude
from etendue.camera.detector import Detector
from etendue.camera.times import to_utc
from etendue.geom.sphere import tangent_plane_inverse
from etendue.simulate.night.heavens import horizontal, sun_position
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.random_streams import stream
from etendue.simulate.surveys.calibration_plan import CalibrationFrame
from etendue.simulate.surveys.calibration_spec import CalibrationSpec
from etendue.simulate.surveys.illumination import illumination_map
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.telescope.field_angle import DetectorPlace

Plane = NDArray[np.float32]

_LOWEST_DEG = 25.0  # fields lower than that are not used for flats


def screen_light(survey: Survey, detector: Detector, band: str) -> Plane | None:
    """Return what a screen and the telescope make of even light.

    Parameters
    ----------
    survey : Survey
        The survey.
    detector : Detector
        One of its detectors.
    band : str
        Band of the flat.

    Returns
    -------
    ndarray, float32, shape (ny, nx), or None
        Factor on the light; None for 1.
    """
    screen, place = survey.spec.calibrations.screen, DetectorPlace.nominal(survey.camera, detector)
    share = illumination_map(survey, detector, band)
    if screen is None:
        return share
    ny, nx = detector.bbox.shape
    fx, fy = place.to_field(x=np.arange(nx)[None, :], y=np.arange(ny)[:, None])
    light = 1.0 + screen.tilt[0] * fx + screen.tilt[1] * fy + screen.bowl * (fx**2 + fy**2)
    light = np.maximum(light, 0.0) * (1.0 if share is None else share)
    return np.asarray(light, np.float32)


def twilight_exposure(survey: Survey, frame: CalibrationFrame) -> PlannedExposure:
    """Return a flat of the evening sky as an exposure of the sky: bright, uneven, at a field of the survey.

    Parameters
    ----------
    survey : Survey
        The survey.
    frame : CalibrationFrame
        The flat.

    Returns
    -------
    PlannedExposure
        At the place of the survey's first exposure, or overhead if that stands low; dithered.
    """
    first, site, spec = survey.exposures[0], survey.camera.observatory, survey.spec.calibrations.twilight
    assert site is not None
    assert spec is not None
    rng = stream(survey.seed, "twilight sky", frame.exposure)
    now = to_utc(frame.mjd_tai_begin + 0.5 * frame.seconds / 86400.0)
    ra, dec = first.ra_deg, first.dec_deg
    if float(horizontal(ra, dec, now, site).altitude_deg) < _LOWEST_DEG:
        ra, dec = _overhead(now, first.ra_deg, site.latitude_deg, survey)
    step = spec.dither_arcsec / 3600.0 * rng.standard_normal(2)
    ra, dec = (float(value) for value in tangent_plane_inverse(step[0], step[1], ra, dec))
    altitude, parallactic = (float(value) for value in horizontal(ra, dec, now, site))
    airmass, bandpass = airmass_of_altitude(altitude), survey.bandpasses[frame.band]
    area, seconds = survey.camera.plate_scale**2, frame.seconds
    zero_point = 2.5 * np.log10(bandpass.electrons_per_second(survey.spec.area_m2) * seconds)
    return PlannedExposure(
        exposure=frame.exposure, day_obs=frame.day_obs, seq=frame.seq, band=frame.band, exposure_time_s=seconds,
        mjd_tai_begin=frame.mjd_tai_begin, ra_deg=ra, dec_deg=dec, rotation_deg=first.rotation_deg, field="twilight",
        airmass=airmass, zenith_deg=90.0 - altitude, parallactic_deg=parallactic,
        seeing_arcsec=first.seeing_arcsec * (airmass / first.airmass) ** 0.6, cloud_mag=first.cloud_mag,
        sky_mag_arcsec2=float(zero_point - 2.5 * np.log10(frame.electrons / area)),
        sky_gradient=_towards_sun(survey, ra, dec, now, first.rotation_deg, spec.gradient),
        moon_deg=first.moon_deg, moon_illumination=0.0,
    )  # fmt: skip


def _overhead(mjd_utc: float, ra_deg: float, latitude_deg: float, survey: Survey) -> tuple[float, float]:
    """Return the zenith."""
    site = survey.camera.observatory
    assert site is not None
    grid = np.arange(0.0, 360.0, 0.5)
    altitude = horizontal((ra_deg + grid) % 360.0, np.full(grid.size, latitude_deg), mjd_utc, site).altitude_deg
    return float((ra_deg + grid[np.argmax(altitude)]) % 360.0), latitude_deg


def _towards_sun(
    survey: Survey, ra: float, dec: float, mjd_utc: float, rotation_deg: float, gradient: float
) -> tuple[float, float]:
    """Return the gradient along the axes of the focal plane [1/deg]."""
    sun_ra, sun_dec = (float(value) for value in sun_position(mjd_utc))
    difference, here, there = np.radians(sun_ra - ra), np.radians(dec), np.radians(sun_dec)
    bearing = np.arctan2(
        np.sin(difference) * np.cos(there),
        np.cos(here) * np.sin(there) - np.sin(here) * np.cos(there) * np.cos(difference),
    )
    angle = float(bearing) - np.radians(rotation_deg)  # from the focal plane's y axis, eastward
    east = -1.0 if survey.camera.parity_flipped else 1.0
    return gradient * east * float(np.sin(angle)), gradient * float(np.cos(angle))


def spot(spec: CalibrationSpec, frame: CalibrationFrame, detector: Detector) -> Plane:
    """Return a disc of light in the middle of one amplifier; the others are dark.

    Parameters
    ----------
    spec : CalibrationSpec
        Its spots.
    frame : CalibrationFrame
        Level and amplifier; a detector with fewer amplifiers stays dark.
    detector : Detector
        One of the camera's detectors.

    Returns
    -------
    ndarray, float32, shape (ny, nx)
        [e].
    """
    light = np.zeros(detector.bbox.shape, np.float32)
    assert spec.spots is not None
    if frame.amplifier < len(detector.amplifiers):
        box = detector.amplifiers[frame.amplifier].bbox
        y, x = np.ogrid[: light.shape[0], : light.shape[1]]
        middle = box.y.center - detector.bbox.y.start, box.x.center - detector.bbox.x.start
        light[(y - middle[0]) ** 2 + (x - middle[1]) ** 2 < spec.spots.radius_px**2] = frame.electrons
    return light
