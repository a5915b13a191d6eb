"""Which calibration frames a survey takes, and when."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from etendue.camera.camera import Observatory
from etendue.camera.times import day_obs, to_tai, to_utc, written_second
from etendue.errors import InputError
from etendue.simulate.night.heavens import horizontal, sun_position
from etendue.simulate.random_streams import stream
from etendue.simulate.surveys.calibration_spec import CalibrationSpec, TwilightSpec
from etendue.simulate.surveys.survey import Survey

_DAY_S = 86400.0
READ_S = 20.0
"""Time from the end of a calibration frame to the next [s]."""
_LEAD_DAY = 0.15  # frames of the afternoon begin at least so long before the first exposure of the night
_FLAT_STEP = 0.03
_SPOT_S = 5.0
_TWILIGHT_SUN_DEG = -5.0
_TWILIGHT_S = 2.0  # the first exposure of a band
_TWILIGHT_SCATTER = 0.1


@dataclass(frozen=True, slots=True)
class CalibrationFrame:
    """A calibration frame that is to be made, of all detectors.

    Parameters
    ----------
    kind : str
        ``bias``, ``dark``, ``flat``, ``twilight`` or ``spot``.
    day_obs : int
        Night to which it belongs, YYYYMMDD.
    seq : int
        Number in the night, from 1.
    mjd_tai_begin : float
        Begin [day].
    band : str
        Band; empty for a bias or dark.
    seconds : float
        Exposure time [s].
    electrons : float
        Light that a pixel is expected to collect where nothing is lost [e].
    amplifier : int
        Place of the lit amplifier in the detector's list, of a spot; -1 for all.
    """

    kind: str
    day_obs: int = 0
    seq: int = 0
    mjd_tai_begin: float = 0.0
    band: str = ""
    seconds: float = 0.0
    electrons: float = 0.0
    amplifier: int = -1

    @property
    def exposure(self) -> int:
        """Exposure id: night * 100000 + number in the night."""
        return self.day_obs * 100000 + self.seq

    @property
    def observation_type(self) -> str:
        """What headers call it."""
        return {"twilight": "flat", "spot": "test"}.get(self.kind, self.kind)


def calibration_frames(survey: Survey) -> list[CalibrationFrame]:
    """Return the calibration frames of a survey, in order of time.

    Parameters
    ----------
    survey : Survey
        The survey.

    Returns
    -------
    list of CalibrationFrame
        Those of one night end before its first exposure.

    Raises
    ------
    InputError
        If the band of the pairs is not known, or a night has no room for its frames.
    """
    spec = survey.spec.calibrations
    begins: dict[int, float] = {}
    for exposure in survey.exposures:
        begins.setdefault(exposure.day_obs, exposure.mjd_tai_begin)
    found: list[CalibrationFrame] = []
    for number, (night, begin) in enumerate(begins.items()):
        indoors = list(_first_day(survey, spec) if number == 0 else _every_day(survey, spec))
        outdoors = list(_twilight(survey, spec.twilight, begin)) if number == 0 and spec.twilight else []
        end = outdoors[0].mjd_tai_begin if outdoors else begin
        frames = [*_one_after_another(survey, indoors, end), *outdoors]
        nights = [day_obs(to_utc(frame.mjd_tai_begin), survey.camera.header.day_obs_offset_hours) for frame in frames]
        if number > 0 and any(other != night for other in nights):
            raise InputError("calibration frames do not fit between two nights", value=len(frames),
                             remedy="lower calibrations.nightly_bias and nightly_flat")  # fmt: skip
        numbers = [_seq(survey, frame, 1 + k) for k, frame in enumerate(frames)]
        found += [replace(frame, day_obs=nights[k], seq=numbers[k]) for k, frame in enumerate(frames)]
    return found


def _seq(survey: Survey, frame: CalibrationFrame, count: int) -> int:
    """Return the number that the camera's header gives a frame: its own, or the second of the night."""
    header = survey.camera.header
    if header.counts_exposures:
        return count
    return written_second(to_utc(frame.mjd_tai_begin), header.day_obs_offset_hours)


def _first_day(survey: Survey, spec: CalibrationSpec) -> Iterator[CalibrationFrame]:
    yield from [CalibrationFrame("bias")] * spec.bias
    yield from (CalibrationFrame("dark", seconds=seconds) for seconds in spec.dark_times_s)
    for band in survey.bands:
        yield from (_flat(spec, band, spec.flat_electrons * (1.0 + _FLAT_STEP * k)) for k in range(spec.flat))
    for level in spec.flat_pairs:
        yield from [_flat(spec, _pair_band(survey, spec), level)] * 2
    if spec.spots is not None:
        count = max(len(detector.amplifiers) for detector in survey.detectors)
        levels = [level for level in spec.spots.electrons for _ in range(spec.spots.repeats)]
        band = _pair_band(survey, spec)
        for amplifier in range(count):
            yield from (
                CalibrationFrame("spot", band=band, seconds=_SPOT_S, electrons=level, amplifier=amplifier)
                for level in levels
            )


def _every_day(survey: Survey, spec: CalibrationSpec) -> Iterator[CalibrationFrame]:
    yield from [CalibrationFrame("bias")] * spec.nightly_bias
    for band in survey.bands:
        yield from [_flat(spec, band, spec.flat_electrons)] * spec.nightly_flat


def _pair_band(survey: Survey, spec: CalibrationSpec) -> str:
    band = spec.pair_band or survey.bands[0]
    if band not in survey.bandpasses:
        raise InputError("no such band", source="calibrations.pair_band", value=band,
                         remedy=f"there are {', '.join(survey.bandpasses)}")  # fmt: skip
    return band


def _flat(spec: CalibrationSpec, band: str, level: float) -> CalibrationFrame:
    """Return a flat whose exposure time is as long as the level asks for."""
    return CalibrationFrame("flat", band=band, seconds=level / spec.lamp_e_s, electrons=level)


def _one_after_another(survey: Survey, frames: list[CalibrationFrame], end: float) -> list[CalibrationFrame]:
    """Return frames with times, and with what the lamp really gave; the last ends before ``end``."""
    length = sum(frame.seconds + READ_S for frame in frames) / _DAY_S
    begin = end - max(_LEAD_DAY, length)
    starts = begin + np.cumsum([0.0, *(frame.seconds + READ_S for frame in frames)])[:-1] / _DAY_S
    scatter = survey.spec.calibrations.lamp_scatter
    placed = []
    for start, frame in zip(starts.tolist(), frames, strict=True):
        lamp = 1.0
        if scatter > 0.0 and frame.kind == "flat":
            lamp += scatter * float(stream(survey.seed, "lamp", round(start * _DAY_S)).standard_normal())
        placed.append(replace(frame, mjd_tai_begin=start, electrons=frame.electrons * lamp))
    return placed


def _twilight(survey: Survey, spec: TwilightSpec, first: float) -> Iterator[CalibrationFrame]:
    """Give flats of the evening sky, band by band; they end before the first exposure of the night."""
    site = survey.camera.observatory
    assert site is not None  # the exposures could not have been planned without
    orders = [(band, k) for band in survey.bands for k in range(spec.count)]
    seconds = [_TWILIGHT_S * np.exp(k * (_TWILIGHT_S + READ_S) / spec.fading_s) for _, k in orders]
    length = sum(value + READ_S for value in seconds) / _DAY_S
    begin = min(_dusk(first, site), first - length)
    for number, ((band, _), lasts) in enumerate(zip(orders, seconds, strict=True)):
        level = spec.electrons * np.exp(_TWILIGHT_SCATTER * stream(survey.seed, "twilight", number).standard_normal())
        yield CalibrationFrame("twilight", 0, 0, begin, band, float(lasts), float(level))
        begin += (lasts + READ_S) / _DAY_S


def _dusk(before_mjd_tai: float, site: Observatory) -> float:
    """Return the last time before an exposure at which the sun sinks below 5 deg under the horizon [MJD, TAI]."""
    grid = to_utc(before_mjd_tai) - np.arange(0.0, 1.0, 1.0 / 1440.0)
    altitude = horizontal(*sun_position(grid), grid, site).altitude_deg
    day = np.flatnonzero(altitude > _TWILIGHT_SUN_DEG)
    return float(to_tai(grid[day[0]] if day.size else grid[0], "utc"))
