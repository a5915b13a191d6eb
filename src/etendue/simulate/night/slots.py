"""When to look where: nights spelled out, a pointing list, or a small scheduler."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from astropy.time import Time
from numpy.typing import NDArray

from etendue.camera.camera import Observatory
from etendue.camera.times import to_tai, to_utc
from etendue.errors import InputError
from etendue.geom.sphere import separation_deg
from etendue.simulate.night.heavens import horizontal, moon_position, sun_position
from etendue.simulate.night.spec import CadenceSpec, NightPlan, SchedulerSpec, TargetField
from etendue.simulate.night.tables import read_exposures

Vector = NDArray[np.float64]

_DAY_S = 86400.0
_TWILIGHT_DEG = -12.0
_GRID_MIN = 5.0
_BRIGHT_MOON = 0.4
_BLUE = "ug"


@dataclass(frozen=True, slots=True)
class Slot:
    """A begin, a direction and a filter.

    Parameters
    ----------
    mjd_tai : float
        Begin [day].
    band, field : str
        Band and target.
    ra_deg, dec_deg : float
        Direction before dithering [deg].
    exposure_time_s : float
        Exposure time [s].
    rotation_deg : float or None
        Given angle [deg]; None for the cadence's rule.
    dithered : bool
        Whether the cadence's dither is added.
    """

    mjd_tai: float
    band: str
    field: str
    ra_deg: float
    dec_deg: float
    exposure_time_s: float
    rotation_deg: float | None = None
    dithered: bool = True


def make_slots(cadence: CadenceSpec, site: Observatory) -> list[Slot]:
    """Return the slots of a cadence in order of time.

    Parameters
    ----------
    cadence : CadenceSpec
        Nights, scheduler or pointing list.
    site : Observatory
        Where the telescope stands.

    Returns
    -------
    list of Slot

    Raises
    ------
    InputError
        If a band has no exposure time, a target is not known, or nothing can be observed.
    """
    if cadence.nights:
        found = [slot for night in cadence.nights for slot in _night_slots(cadence, night, site)]
    elif cadence.scheduler is not None:
        found = list(_scheduled(cadence, cadence.scheduler, site))
    else:
        found = list(_listed(cadence))
    if not found:
        raise InputError("nothing can be observed", value=cadence.start, remedy="check fields, nights and limits")
    return sorted(found, key=lambda slot: slot.mjd_tai)


def exposure_time(cadence: CadenceSpec, band: str) -> float:
    """Return the exposure time in a band [s].

    Parameters
    ----------
    cadence : CadenceSpec
        The cadence.
    band : str
        Band.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the band has none.
    """
    if not isinstance(cadence.exposure_time_s, dict):
        return cadence.exposure_time_s
    if band not in cadence.exposure_time_s:
        raise InputError("no exposure time of the band", value=band, remedy="add it to cadence.exposure_time_s")
    return cadence.exposure_time_s[band]


def local_noon(cadence: CadenceSpec, day: int, site: Observatory) -> float:
    """Return the local noon before a night [MJD, UTC].

    Parameters
    ----------
    cadence : CadenceSpec
        Its start is the local date of the first night's evening.
    day : int
        Days after the first night.
    site : Observatory
        Its longitude tells noon.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If the start is no date.
    """
    try:
        midnight = float(Time(cadence.start, format="iso", scale="utc").mjd)
    except ValueError:
        raise InputError("start is no date", value=cadence.start, remedy="write YYYY-MM-DD") from None
    east = (site.longitude_deg + 180.0) % 360.0 - 180.0
    return midnight + day + 0.5 - east / 360.0


def _dark_hours(noon: float, site: Observatory) -> Vector:
    """Return a grid of the dark part of a night [MJD, UTC]."""
    grid = noon + np.arange(0.0, 1.0, _GRID_MIN / 1440.0)
    return grid[horizontal(*sun_position(grid), grid, site).altitude_deg < _TWILIGHT_DEG]


def _night_slots(cadence: CadenceSpec, night: NightPlan, site: Observatory) -> Iterator[Slot]:
    target = cadence.targets[night.day % len(cadence.targets)]
    noon = local_noon(cadence, night.day, site)
    length = (len(night.bands) - 1) * night.spacing_min / 1440.0
    begin = noon + night.begin_h / 24.0 if night.begin_h is not None else _best_begin(target, noon, length, site)
    for number, band in enumerate(night.bands):
        at = to_tai(begin + number * night.spacing_min / 1440.0, "utc")
        yield Slot(at, band, target.name, target.ra_deg, target.dec_deg, exposure_time(cadence, band))


def _best_begin(target: TargetField, noon: float, length: float, site: Observatory) -> float:
    """Return the begin that puts the middle of a sequence as high as darkness allows."""
    dark = _dark_hours(noon, site)
    if dark.size == 0:
        raise InputError("the night never gets dark", value=round(noon, 2), remedy="choose another date or begin_h")
    middles = dark[(dark >= dark[0] + 0.5 * length) & (dark <= dark[-1] - 0.5 * length)]
    middles = middles if middles.size else dark[dark.size // 2 : dark.size // 2 + 1]
    altitude = horizontal(target.ra_deg, target.dec_deg, middles, site).altitude_deg
    if altitude.max() < 15.0:
        raise InputError("a field never rises high enough in the dark", source=target.name,
                         value=round(float(altitude.max()), 1), remedy="choose another date or field")  # fmt: skip
    return float(middles[np.argmax(altitude)] - 0.5 * length)


def _listed(cadence: CadenceSpec) -> Iterator[Slot]:
    known = {target.name: target for target in cadence.targets}
    for entry in cadence.exposures or read_exposures(cadence.file):
        if entry.field and entry.field not in known:
            raise InputError("no such field", value=entry.field, remedy=f"there are {', '.join(known) or 'none'}")
        ra, dec = entry.ra_deg, entry.dec_deg
        if ra is None or dec is None:
            ra, dec = known[entry.field].ra_deg, known[entry.field].dec_deg
        seconds = entry.exposure_time_s or exposure_time(cadence, entry.band)
        yield Slot(entry.mjd_tai, entry.band, entry.field or "pointing", ra, dec, seconds, entry.rotation_deg,
                   dithered=bool(entry.field))  # fmt: skip


def _scheduled(cadence: CadenceSpec, spec: SchedulerSpec, site: Observatory) -> Iterator[Slot]:
    visits = np.zeros(len(cadence.targets))
    done = dict.fromkeys(spec.bands, 0.0)
    for night in range(spec.nights):
        yield from _one_night(cadence, spec, site, night * spec.every_days, visits, done)


def _one_night(
    cadence: CadenceSpec, spec: SchedulerSpec, site: Observatory, day: int, visits: Vector, done: dict[str, float]
) -> Iterator[Slot]:
    """Give the blocks of one night; counts of visits are kept in ``visits`` and ``done``."""
    dark = _dark_hours(local_noon(cadence, day, site), site)
    now, end, last, count = (float(dark[0]), float(dark[-1]), "", 0) if dark.size else (0.0, 0.0, "", 0)
    while now < end and count < spec.visits_per_night:
        up = _observable(cadence, spec, site, now)
        if up.size == 0:
            now += _GRID_MIN / 1440.0
            continue
        band = _next_band(spec, done, now, site)
        now += (spec.filter_change_s if band != last else 0.0) / _DAY_S
        last = band
        begin, seconds = now, exposure_time(cadence, band)
        step = (seconds + spec.overhead_s) / _DAY_S
        block = _block(cadence, spec, up, visits, step)
        for again in range(2 if spec.pair_min > 0.0 else 1):
            now = max(now, begin + again * spec.pair_min / 1440.0)
            for row in block[: spec.visits_per_night - count]:
                target = cadence.targets[row]
                yield Slot(to_tai(now, "utc"), band, target.name, target.ra_deg, target.dec_deg, seconds)
                visits[row] += 1.0
                done[band] += 1.0
                count += 1
                now += step


def _observable(cadence: CadenceSpec, spec: SchedulerSpec, site: Observatory, mjd_utc: float) -> NDArray[np.int64]:
    """Return the fields that are high enough and far enough from the moon, now and half an hour later."""
    ra = np.array([target.ra_deg for target in cadence.targets])
    dec = np.array([target.dec_deg for target in cadence.targets])
    lowest = np.degrees(np.arcsin(1.0 / spec.max_airmass))
    up = np.ones(ra.size, bool)
    for time in (mjd_utc, mjd_utc + 0.5 / 24.0):
        up &= horizontal(ra, dec, time, site).altitude_deg > lowest
    moon_ra, moon_dec = moon_position(mjd_utc)
    if horizontal(moon_ra, moon_dec, mjd_utc, site).altitude_deg > 0.0:
        up &= separation_deg(ra, dec, moon_ra, moon_dec) > spec.min_moon_deg
    return np.flatnonzero(up)


def _next_band(spec: SchedulerSpec, done: Mapping[str, float], mjd_utc: float, site: Observatory) -> str:
    """Return the band that lags behind its share most; not a blue one under a bright moon."""
    moon = moon_position(mjd_utc)
    lit = moon_phase_deg(mjd_utc)[1] > _BRIGHT_MOON and horizontal(*moon, mjd_utc, site).altitude_deg > 0.0
    allowed = [band for band in spec.bands if not (lit and band in _BLUE)] or list(spec.bands)
    return min(allowed, key=lambda band: done[band] / spec.shares.get(band, 1.0))


def moon_phase_deg(mjd: float) -> tuple[float, float]:
    """Return phase angle (0 at full moon) and illuminated fraction of the moon.

    Parameters
    ----------
    mjd : float
        Time [day].

    Returns
    -------
    phase_deg, fraction : float
    """
    apart = float(separation_deg(*sun_position(mjd), *moon_position(mjd)))
    phase = 180.0 - apart
    return phase, 0.5 * (1.0 + float(np.cos(np.radians(phase))))


def _block_length(spec: SchedulerSpec, step_day: float) -> int:
    return max(1, round(spec.pair_min / 1440.0 / step_day))


def _block(
    cadence: CadenceSpec, spec: SchedulerSpec, up: NDArray[np.int64], visits: Vector, step_day: float
) -> list[int]:
    """Return the fields of a block: those visited least for their weight, by right ascension."""
    weight = np.array([cadence.targets[row].weight for row in up])
    needy = up[np.argsort(visits[up] / weight, kind="stable")][: _block_length(spec, step_day)]
    return sorted(map(int, needy), key=lambda row: cadence.targets[row].ra_deg)


def hours_after_noon(mjd_tai: float, site: Observatory) -> float:
    """Return the local solar time since noon [h].

    Parameters
    ----------
    mjd_tai : float
        Time [day].
    site : Observatory
        Its longitude tells noon.

    Returns
    -------
    float
        0 to 24.
    """
    return float((to_utc(mjd_tai) + site.longitude_deg / 360.0 - 0.5) % 1.0) * 24.0
