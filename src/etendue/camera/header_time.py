"""The time of an exposure in a header: reading and writing by `TimeSpec`."""

import datetime
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

from etendue.camera.header_spec import Scalar, TimeScale, TimeSpec
from etendue.camera.times import format_iso, from_tai, parse_pattern, parse_utc, to_tai, to_utc
from etendue.errors import InputError

SECONDS_PER_DAY = 86400.0
_FIRST_MJD, _LAST_MJD = 51546, 84416  # 2000-01-03 to 2089-12-30: ids hold no other nights (`etendue.geom.ids`)
_ZERO = {"mjd": 0.0, "jd": -2400000.5}
_UNIX_EPOCH_MJD = 40587.0
_SHIFT = {"begin": 0.0, "middle": 0.5, "end": 1.0}


class Begin(NamedTuple):
    """When an exposure began."""

    mjd_utc: float
    """MJD (UTC) [day]."""

    mjd_tai: float
    """MJD (TAI) [day]."""

    cards: dict[str, Any]
    """The cards that told it."""


def read_begin(header: Mapping[str, Any], spec: TimeSpec, exposure_time_s: float, source: object = None) -> Begin:
    """Return when an exposure began.

    Parameters
    ----------
    header : mapping
        FITS header.
    spec : TimeSpec
        How its time is written.
    exposure_time_s : float
        Exposure time, for headers that tell its middle or end [s].
    source : object, optional
        File named in errors.

    Returns
    -------
    Begin

    Raises
    ------
    InputError
        If there is no time, or none between 2000 and 2089.
    """
    way: TimeSpec | None = spec
    while way is not None:
        found = next((key for key in way.date if _given(header, key)), None)
        if found is not None:
            return _read(header, way, found, exposure_time_s, source)
        way = way.otherwise
    keywords = " or ".join(_dates(spec))
    raise InputError(f"no time of observation: {keywords} is missing", source=source, remedy="correct the header")


def check_mjd(mjd: float, keyword: str, value: object, source: object) -> None:
    """Refuse a time that no id can hold.

    Parameters
    ----------
    mjd : float
        MJD [day].
    keyword : str
        Where it stands.
    value : object
        As it stands there.
    source : object
        File.

    Raises
    ------
    InputError
        If it is not between 2000 and 2089, or NaN.
    """
    if not _FIRST_MJD <= mjd < _LAST_MJD:
        raise InputError(f"{keyword} is not between 2000 and 2089", source=source, value=value,
                         remedy="correct the header")  # fmt: skip


def write_begin(mjd_tai_begin: float, exposure_time_s: float, spec: TimeSpec) -> dict[str, Scalar]:
    """Return the cards that `read_begin` reads back.

    Parameters
    ----------
    mjd_tai_begin : float
        Begin [day, TAI].
    exposure_time_s : float
        Exposure time [s].
    spec : TimeSpec
        How the camera writes times.

    Returns
    -------
    dict
        Keyword to value.
    """
    mjd_tai = mjd_tai_begin + _SHIFT[spec.refers_to] * exposure_time_s / SECONDS_PER_DAY
    mjd = from_tai(mjd_tai, spec.scale) + spec.zone_hours / 24.0
    scale: dict[str, Scalar] = {key: spec.scale.upper() for key in spec.scale_keywords[:1]}
    if spec.format in _ZERO:
        return {spec.date[0]: mjd - _ZERO[spec.format], **scale}
    if spec.format == "unix":
        return {spec.date[0]: (mjd - _UNIX_EPOCH_MJD) * SECONDS_PER_DAY, **scale}
    text = format_iso(mjd)
    if spec.format != "iso":
        moment = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)  # for a pattern with %z
        text = moment.strftime(spec.format)
        return {spec.date[0]: text, **scale}
    if not spec.time:
        return {spec.date[0]: text, **scale}
    date, time_of_day = text.split("T")
    return {spec.date[0]: date, spec.time[0]: time_of_day, **scale}


def _read(header: Mapping[str, Any], spec: TimeSpec, found: str, exposure_time_s: float, source: object) -> Begin:
    clock = next((key for key in spec.time if _given(header, key)), None)
    try:
        mjd = _to_mjd(header[found], None if clock is None else str(header[clock]), spec)
    except ValueError:
        raise InputError(f"{found} is no number", source=source, value=header[found], remedy="correct it") from None
    except InputError as error:
        raise InputError(f"{found}: {error}", source=source) from None
    mjd -= spec.zone_hours / 24.0
    check_mjd(mjd, found, header[found], source)
    named = next((key for key in spec.scale_keywords if _given(header, key)), None)
    scale = spec.scale if named is None else _scale(header[named], named, source)
    mjd -= _SHIFT[spec.refers_to] * exposure_time_s / SECONDS_PER_DAY
    mjd_tai = to_tai(mjd, scale)
    used = {key: header[key] for key in (found, clock, named) if key is not None}
    return Begin(mjd if scale == "utc" else to_utc(mjd_tai), mjd_tai, used)


def _to_mjd(value: object, time_of_day: str | None, spec: TimeSpec) -> float:
    if spec.format == "iso":
        return parse_utc(str(value), time_of_day)
    if spec.format in _ZERO:
        return float(str(value)) + _ZERO[spec.format]
    if spec.format == "unix":
        return float(str(value)) / SECONDS_PER_DAY + _UNIX_EPOCH_MJD
    return parse_pattern(" ".join(part for part in (str(value), time_of_day) if part), spec.format)


def _scale(value: object, keyword: str, source: object) -> TimeScale:
    name = str(value).strip().lower()
    known = get_args(TimeScale)
    if name not in known:
        raise InputError(f"{keyword} is no known time scale", source=source, value=value,
                         remedy=f"known: {', '.join(known)}; leave {keyword} out of 'scale_keywords'")  # fmt: skip
    return next(scale for scale in known if scale == name)


def _given(header: Mapping[str, Any], key: str) -> bool:
    value = header.get(key)
    return value is not None and bool(str(value).strip())


def _dates(spec: TimeSpec) -> list[str]:
    return [*spec.date, *(_dates(spec.otherwise) if spec.otherwise else [])]
