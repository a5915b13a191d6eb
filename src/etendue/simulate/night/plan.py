"""Every exposure of a survey, with the conditions it met."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from etendue.camera.airmass import airmass_of_altitude
from etendue.camera.camera import Camera, Observatory
from etendue.camera.times import day_obs, to_utc, written_second
from etendue.errors import InputError
from etendue.geom.sphere import separation_deg, tangent_plane_inverse
from etendue.simulate.light.air import Air
from etendue.simulate.light.bandpass import Bandpass
from etendue.simulate.light.dark_sky import dark_sky_mag
from etendue.simulate.night.conditions import night_conditions
from etendue.simulate.night.heavens import horizontal, moon_position
from etendue.simulate.night.moonlight import moonlight_mag
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.night.slots import Slot, hours_after_noon, make_slots, moon_phase_deg
from etendue.simulate.night.spec import CadenceSpec, ConditionsSpec
from etendue.simulate.random_streams import stream

_SECONDS_PER_DAY = 86400.0
_SEEING_NM = 500.0


def plan_exposures(
    cadence: CadenceSpec,
    conditions: ConditionsSpec,
    camera: Camera,
    bandpasses: Mapping[str, Bandpass],
    air: Air,
    seed: int,
    *,
    first_seq: int = 1,
) -> tuple[PlannedExposure, ...]:
    """Plan all exposures.

    Parameters
    ----------
    cadence : CadenceSpec
        When and where.
    conditions : ConditionsSpec
        How the nights are.
    camera : Camera
        Its site and the beginning of its nights.
    bandpasses : mapping of str to Bandpass
        By band.
    air : Air
        Clear air above the site.
    seed : int
        Seed of the survey.
    first_seq : int
        Number of the first exposure of every night.

    Returns
    -------
    tuple of PlannedExposure
        In order of time.

    Raises
    ------
    InputError
        If the camera has no site, a band no bandpass, or a pointing is below the horizon.
    """
    site = camera.observatory
    if site is None:
        raise InputError("camera has no observatory", value=camera.name, remedy="add it to the camera YAML")
    counts: dict[int, int] = {}
    planned = []
    for number, slot in enumerate(make_slots(cadence, site)):
        if slot.band not in bandpasses:
            raise InputError("no bandpass of the band", value=slot.band, remedy=f"there are {', '.join(bandpasses)}")
        header, begin = camera.header, to_utc(slot.mjd_tai)
        night = day_obs(begin, header.day_obs_offset_hours)
        counts[night] = counts.get(night, first_seq - 1) + 1
        seq = counts[night] if header.counts_exposures else written_second(begin, header.day_obs_offset_hours)
        met = _met(slot, number, night, seq, cadence, conditions, site, bandpasses[slot.band], air, seed)
        turn = header.fixed_rotation_deg
        planned.append(met if turn is None else replace(met, rotation_deg=turn))
    return tuple(planned)


def _met(
    slot: Slot, number: int, night: int, seq: int, cadence: CadenceSpec, conditions: ConditionsSpec,
    site: Observatory, bandpass: Bandpass, air: Air, seed: int,
) -> PlannedExposure:  # fmt: skip
    """Return an exposure with the conditions of its time and direction."""
    rng = stream(seed, "exposure", number)
    middle = to_utc(slot.mjd_tai) + 0.5 * slot.exposure_time_s / _SECONDS_PER_DAY
    radius, angle, turn = (
        cadence.dither_deg * np.sqrt(rng.uniform()),
        rng.uniform(0.0, 2.0 * np.pi),
        rng.uniform(0.0, 360.0),
    )
    gradient = rng.normal(0.0, conditions.sky_gradient, 2)
    radius = radius if slot.dithered else 0.0
    ra, dec = (float(v) for v in tangent_plane_inverse(
        radius * np.cos(angle), radius * np.sin(angle), slot.ra_deg, slot.dec_deg))  # fmt: skip
    altitude, parallactic = (float(v) for v in horizontal(ra, dec, middle, site))
    if not altitude > 5.0:
        raise InputError("a pointing is below the horizon", source=f"exposure at MJD {slot.mjd_tai:.4f}",
                         value=round(altitude, 1), remedy="change its time or direction")  # fmt: skip
    airmass = airmass_of_altitude(altitude)
    history = night_conditions(conditions, night, seed)
    seeing, clouds = history.at(hours_after_noon(slot.mjd_tai, site))
    moon_deg, fraction, sky = _sky(ra, dec, altitude, airmass, middle, site, bandpass, air, moon=conditions.moon)
    return PlannedExposure(
        exposure=night * 100000 + seq,
        day_obs=night,
        seq=seq,
        band=slot.band,
        exposure_time_s=slot.exposure_time_s,
        mjd_tai_begin=slot.mjd_tai,
        ra_deg=ra,
        dec_deg=dec,
        rotation_deg=_rotation(slot, cadence, float(turn), parallactic),
        field=slot.field,
        airmass=airmass,
        zenith_deg=90.0 - altitude,
        parallactic_deg=parallactic,
        seeing_arcsec=seeing * airmass**0.6 * (bandpass.pivot_nm / _SEEING_NM) ** -0.2,
        cloud_mag=clouds,
        sky_mag_arcsec2=sky + history.sky_mag + clouds,
        sky_gradient=(float(gradient[0]), float(gradient[1])),
        moon_deg=moon_deg,
        moon_illumination=fraction,
    )


def _rotation(slot: Slot, cadence: CadenceSpec, drawn: float, parallactic: float) -> float:
    if slot.rotation_deg is not None:
        return slot.rotation_deg
    if cadence.rotation == "random":
        return drawn
    return parallactic if cadence.rotation == "sky_up" else float(cadence.rotation)


def _sky(
    ra: float, dec: float, altitude: float, airmass: float, mjd_utc: float, site: Observatory, bandpass: Bandpass,
    air: Air, *, moon: bool,
) -> tuple[float, float, float]:  # fmt: skip
    """Return distance and illumination of the moon, and the sky's brightness with it [mag/arcsec**2]."""
    place = moon_position(mjd_utc)
    apart = float(separation_deg(ra, dec, *place))
    moon_altitude = float(horizontal(*place, mjd_utc, site).altitude_deg)
    dark = dark_sky_mag(bandpass, airmass)
    phase, fraction = moon_phase_deg(mjd_utc)
    if not moon or moon_altitude <= 0.0:
        return apart, 0.0, dark
    clear, below = bandpass.electrons_per_second(1.0), air.below(bandpass, 1.0).electrons_per_second(1.0)
    lit = moonlight_mag(
        bandpass, separation_deg=apart, phase_deg=phase, moon_zenith_deg=90.0 - moon_altitude,
        zenith_deg=90.0 - altitude, extinction_mag=float(2.5 * np.log10(clear / below)),
    )  # fmt: skip
    return apart, fraction, float(-2.5 * np.log10(10.0 ** (-0.4 * dark) + 10.0 ** (-0.4 * lit)))
