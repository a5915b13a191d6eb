"""A planned survey: sky, visits and their conditions. Everything random is fixed here or by data ID."""

from dataclasses import dataclass, replace

import numpy as np

from etendue.camera.airmass import airmass_of_altitude, altitude_of
from etendue.camera.camera import Camera
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.shipped import load_camera
from etendue.camera.times import day_obs, to_utc
from etendue.geom.sphere import tangent_plane_inverse
from etendue.simulate.preset import SurveyPreset, load_preset
from etendue.simulate.sky import Sky, make_sky

_EXPOSURE_S = {"g": 120.0, "r": 90.0}
_ZERO_POINT_1S = {"g": 24.7, "r": 24.5}  # AB magnitude of 1 e/s above the atmosphere
_EXTINCTION = {"g": 0.20, "r": 0.11}  # mag per airmass
_SKY_MAG_ARCSEC2 = {"g": 21.8, "r": 20.9}
_SECONDS_PER_DAY = 86400.0
NJY_ZERO_POINT = 31.4  # AB magnitude of 1 nJy


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One pointing and its conditions."""

    visit: int
    """Visit id."""
    day_obs: int
    """Night."""
    seq: int
    """Number in the night."""
    band: str
    """Band."""
    exposure_time_s: float
    """Exposure time [s]."""
    mjd_tai_begin: float
    """Begin [day]."""
    ra_deg: float
    """Boresight as in the header [deg]."""
    dec_deg: float
    """Boresight as in the header [deg]."""
    error_arcsec: tuple[float, float]
    """True minus header boresight on the tangent plane (xi, eta) [arcsec]."""
    rotation_deg: float
    """True minus header rotation [deg]."""
    airmass: float
    """Airmass at mid-exposure."""
    zero_point_mag: float
    """AB magnitude of a source that yields 1 electron in the exposure."""
    sky_electrons: float
    """Mean sky level [e/px]."""
    sky_gradient: tuple[float, float]
    """Relative sky change from edge to edge of a detector along (x, y)."""
    fwhm_px: float
    """FWHM of the PSF at the boresight [px]."""
    ellipticity: tuple[float, float]
    """PSF ellipticity (e1, e2) at the boresight."""

    @property
    def mjd_tai_mid(self) -> float:
        """Mid-exposure [day]."""
        return self.mjd_tai_begin + 0.5 * self.exposure_time_s / _SECONDS_PER_DAY

    def electrons(self, mag: np.ndarray) -> np.ndarray:
        """Return the electrons of sources in the whole exposure.

        Parameters
        ----------
        mag : ndarray
            AB magnitudes.

        Returns
        -------
        ndarray
            Expected electrons.
        """
        return 10 ** (-0.4 * (mag - self.zero_point_mag))


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """What `render_visit` needs to render any detector of any visit.

    Parameters
    ----------
    preset : SurveyPreset
        What is simulated.
    seed : int
        Seed of everything random.
    camera : Camera
        The camera.
    sky : Sky
        The truth above the atmosphere.
    visits : tuple of Visit
        In order of time.
    """

    preset: SurveyPreset
    seed: int
    camera: Camera
    sky: Sky
    visits: tuple[Visit, ...]

    def visit(self, visit_id: int) -> Visit:
        """Return a visit by its id.

        Parameters
        ----------
        visit_id : int
            Visit id.

        Returns
        -------
        Visit
        """
        return next(visit for visit in self.visits if visit.visit == visit_id)


def plan_survey(preset: str | SurveyPreset, seed: int = 1) -> Survey:
    """Draw the sky and the conditions of every visit.

    Parameters
    ----------
    preset : str or SurveyPreset
        Shipped preset's name, or a preset.
    seed : int
        Equal seeds give equal surveys.

    Returns
    -------
    Survey
    """
    chosen = load_preset(preset) if isinstance(preset, str) else preset
    camera = load_camera("simcam")
    rng = np.random.default_rng([seed, 2])
    first_seq = 1 + chosen.n_bias + chosen.n_flat * len(chosen.filters)
    visits = []
    for number, night in enumerate(chosen.nights):
        for index, band in enumerate(night.filters):
            begin = chosen.start_mjd_tai + night.day + index * night.spacing_min / 1440.0
            seq = (first_seq if number == 0 else 1) + index
            visits.append(_draw_visit(rng, chosen, camera, band, begin, seq))
    return Survey(chosen, seed, camera, make_sky(chosen, seed), tuple(visits))


def _draw_visit(
    rng: np.random.Generator, preset: SurveyPreset, camera: Camera, band: str, begin: float, seq: int
) -> Visit:
    exposure_time_s = _EXPOSURE_S[band]
    xi_deg, eta_deg = rng.uniform(-preset.dither_px, preset.dither_px, 2) * camera.plate_scale / 3600.0
    ra_deg, dec_deg = tangent_plane_inverse(xi_deg, eta_deg, preset.ra_deg, preset.dec_deg)
    site = camera.observatory
    assert site is not None
    middle_utc = to_utc(begin) + 0.5 * exposure_time_s / _SECONDS_PER_DAY
    airmass = airmass_of_altitude(altitude_of(float(ra_deg), float(dec_deg), middle_utc, site))
    zero_point = _ZERO_POINT_1S[band] + 2.5 * np.log10(exposure_time_s) - _EXTINCTION[band] * airmass
    sky_mag_px = _SKY_MAG_ARCSEC2[band] - 2.5 * np.log10(camera.plate_scale**2) - rng.uniform(0.0, 0.2)
    night = day_obs(to_utc(begin), camera.header.day_obs_offset_hours)
    e1, e2 = rng.normal(0.0, 0.02, 2)
    return Visit(
        visit=night * 100000 + seq,
        day_obs=night,
        seq=seq,
        band=band,
        exposure_time_s=exposure_time_s,
        mjd_tai_begin=begin,
        ra_deg=float(ra_deg),
        dec_deg=float(dec_deg),
        error_arcsec=(float(rng.normal(0.0, 2.5)), float(rng.normal(0.0, 2.5))),
        rotation_deg=float(rng.normal(0.0, 0.03)),
        airmass=airmass,
        zero_point_mag=float(zero_point),
        sky_electrons=float(10 ** (-0.4 * (sky_mag_px - zero_point))),
        sky_gradient=(float(rng.normal(0.0, 0.015)), float(rng.normal(0.0, 0.015))),
        fwhm_px=float(np.clip(rng.normal(2.3, 0.3), 1.9, 3.0)),
        ellipticity=(float(e1), float(e2)),
    )


def describe_visit(survey: Survey, visit: Visit, detector: int) -> ObservationInfo:
    """Return what the header of a visit says: the nominal pointing, nothing of the truth.

    Parameters
    ----------
    survey : Survey
        The survey.
    visit : Visit
        The visit.
    detector : int
        Detector id.

    Returns
    -------
    ObservationInfo
    """
    info = describe_frame(
        survey, "science", visit.band, detector, visit.seq, visit.mjd_tai_begin, visit.exposure_time_s
    )
    return replace(
        info,
        object="field",
        ra_deg=visit.ra_deg,
        dec_deg=visit.dec_deg,
        rotation_deg=0.0,
        airmass=round(visit.airmass, 3),
    )


def describe_frame(
    survey: Survey, kind: str, band: str, detector: int, seq: int, mjd_tai_begin: float, exposure_time_s: float
) -> ObservationInfo:
    """Return the information of any frame without a pointing.

    Parameters
    ----------
    survey : Survey
        The survey.
    kind : str
        Observation type.
    band : str
        Band, empty for a bias.
    detector, seq : int
        Detector id and number in the night.
    mjd_tai_begin, exposure_time_s : float
        Begin [day] and exposure time [s].

    Returns
    -------
    ObservationInfo
    """
    camera = survey.camera
    night = day_obs(to_utc(mjd_tai_begin), camera.header.day_obs_offset_hours)
    amplifier = camera.detector(detector).amplifiers[0]
    return ObservationInfo(
        instrument=camera.name,
        detector_id=detector,
        exposure_id=night * 100000 + seq,
        day_obs=night,
        seq=seq,
        observation_type=kind,
        physical_filter=next((entry.physical_filter for entry in camera.filters if entry.band == band), ""),
        band=band,
        exposure_time_s=exposure_time_s,
        mjd_tai_begin=mjd_tai_begin,
        mjd_tai_end=mjd_tai_begin + exposure_time_s / _SECONDS_PER_DAY,
        object=kind,
        header_gain=amplifier.gain,
        header_read_noise=amplifier.read_noise,
        temperature_c=-110.0,
    )
