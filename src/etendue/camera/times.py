"""Times in headers: UTC text in the spellings that occur, to MJD and TAI."""

import datetime
import re
import warnings

from etendue.camera.header_spec import TimeScale
from etendue.errors import InputError

_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?!\d)|(\d{1,2})/(\d{1,2})/(\d{2})(?!\d)")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2}(?:\.\d*)?))?\s*(Z|[+-]\d{2}:?\d{2})?")
_MJD_OF_ORDINAL = 678576  # datetime.date.toordinal() - MJD
_SECONDS_PER_DAY = 86400.0
_MJD_ZERO = 2400000.5
_GPS_BEHIND_TAI_S = 19.0


def parse_utc(text: str, time_of_day: str | None = None) -> float:
    """Return the MJD of a date and time, in the scale in which it is written.

    Parameters
    ----------
    text : str
        ``yyyy-mm-dd`` or ``dd/mm/yy`` (before 2000), alone or followed by ``T`` or blank and the time.
    time_of_day : str, optional
        ``hh:mm[:ss[.s]][+hhmm]``, used if ``text`` has no time; digits need no padding.

    Returns
    -------
    float
        MJD [day]; an offset such as ``-0700`` is taken off.

    Raises
    ------
    InputError
        If there is no valid date or time.
    """
    text = text.strip()
    match = _DATE.match(text)
    if match is None:
        raise InputError("is no date", value=text, remedy="expected yyyy-mm-dd")
    rest = text[match.end() :].lstrip("T ").strip() or (time_of_day or "").strip()
    return _mjd_of_date(match) + _seconds_of_day(rest, text) / _SECONDS_PER_DAY


def _mjd_of_date(match: re.Match[str]) -> int:
    year, month, day, old_day, old_month, old_year = match.groups()
    try:
        if year is not None:
            date = datetime.date(int(year), int(month), int(day))
        else:
            date = datetime.date(1900 + int(old_year), int(old_month), int(old_day))
    except ValueError as error:
        raise InputError(f"is no date: {error}", value=match.group(), remedy="expected yyyy-mm-dd") from None
    return date.toordinal() - _MJD_OF_ORDINAL


def _seconds_of_day(text: str, date: str) -> float:
    match = _TIME.fullmatch(text)
    if match is None:
        raise InputError("date has no time of day", value=f"{date} {text}".strip(), remedy="expected hh:mm:ss")
    hours, minutes, seconds, zone = match.groups()
    if int(hours) > 24 or int(minutes) > 59 or float(seconds or 0.0) >= 61.0:  # 24:00:00 and leap seconds exist
        raise InputError("is no time of day", value=text, remedy="expected hh:mm:ss")
    result = 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds or 0.0)
    if zone and zone != "Z":
        sign = -1.0 if zone[0] == "-" else 1.0
        result -= sign * (3600.0 * int(zone[1:3]) + 60.0 * int(zone[-2:]))
    return result


def parse_pattern(text: str, pattern: str) -> float:
    """Return the MJD of a date and time written in a pattern of its own.

    Parameters
    ----------
    text : str
        Such as ``05/01/2020 06:16:12 PM``.
    pattern : str
        As of Python's strptime: ``%d/%m/%Y %I:%M:%S %p``.

    Returns
    -------
    float
        MJD [day] in the scale in which it is written; a zone (``%z``) is taken off.

    Raises
    ------
    InputError
        If the text has another form.
    """
    try:
        moment = datetime.datetime.strptime(text.strip(), pattern)
    except ValueError as error:
        raise InputError(f"is no such date: {error}", value=text, remedy=f"expected {pattern}") from None
    offset = moment.utcoffset() or datetime.timedelta()
    since = moment.replace(tzinfo=None) - offset - datetime.datetime(1858, 11, 17)
    return since / datetime.timedelta(days=1)


def to_tai(mjd: float, scale: TimeScale) -> float:
    """Return the MJD in TAI.

    Parameters
    ----------
    mjd : float
        MJD in ``scale`` [day].
    scale : {"utc", "tai", "tt", "tdb", "gps"}
        Time scale of ``mjd``.

    Returns
    -------
    float
        MJD (TAI) [day]; nothing is downloaded for it.
    """
    if scale == "gps":
        return mjd + _GPS_BEHIND_TAI_S / _SECONDS_PER_DAY
    return mjd if scale == "tai" else _convert(mjd, scale, "tai")


def from_tai(mjd_tai: float, scale: TimeScale) -> float:
    """Return the MJD in a time scale: the inverse of `to_tai`.

    Parameters
    ----------
    mjd_tai : float
        MJD (TAI) [day].
    scale : {"utc", "tai", "tt", "tdb", "gps"}
        The scale.

    Returns
    -------
    float
        MJD [day].
    """
    if scale == "gps":
        return mjd_tai - _GPS_BEHIND_TAI_S / _SECONDS_PER_DAY
    return mjd_tai if scale == "tai" else _convert(mjd_tai, "tai", scale)


def to_utc(mjd_tai: float) -> float:
    """Return the MJD in UTC.

    Parameters
    ----------
    mjd_tai : float
        MJD (TAI) [day].

    Returns
    -------
    float
        MJD (UTC) [day].
    """
    return _convert(mjd_tai, "tai", "utc")


def _convert(mjd: float, source: str, target: str) -> float:
    day = float(int(mjd))
    if {source, target} == {"utc", "tai"}:
        return _leap(day, mjd - day, source)
    from astropy.time import Time
    from astropy.utils import iers

    with warnings.catch_warnings(), iers.conf.set_temp("auto_download", False):
        warnings.simplefilter("ignore")  # "dubious year": leap seconds not yet announced
        return float(getattr(Time(day, mjd - day, format="mjd", scale=source), target).mjd)


def _leap(day: float, part: float, source: str) -> float:
    """Convert between UTC and TAI: what `astropy.time` does there, without its objects."""
    import erfa

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        convert = erfa.utctai if source == "utc" else erfa.taiutc
        whole, rest = convert(_MJD_ZERO + day, part)
    return float(whole - _MJD_ZERO + rest)


def format_iso(mjd: float) -> str:
    """Return ``yyyy-mm-ddThh:mm:ss.sss`` of an MJD.

    Parameters
    ----------
    mjd : float
        MJD [day]; rounded to the millisecond.

    Returns
    -------
    str
    """
    milliseconds = round(mjd * _SECONDS_PER_DAY * 1000.0)
    start = datetime.datetime(1858, 11, 17)
    return (start + datetime.timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")


def day_obs(mjd_utc: float, offset_hours: float) -> int:
    """Return the date of the night.

    Parameters
    ----------
    mjd_utc : float
        MJD (UTC) [day].
    offset_hours : float
        Added before the date is taken [h].

    Returns
    -------
    int
        ``yyyymmdd``.
    """
    date = datetime.date.fromordinal(int(mjd_utc + offset_hours / 24.0) + _MJD_OF_ORDINAL)
    return date.year * 10000 + date.month * 100 + date.day


def written_second(mjd_utc: float, offset_hours: float) -> int:
    """Return the `second_of_night` of a time after it has gone through a header, which keeps milliseconds.

    Parameters
    ----------
    mjd_utc : float
        MJD (UTC) [day].
    offset_hours : float
        As in `day_obs` [h].

    Returns
    -------
    int
    """
    return second_of_night(parse_utc(format_iso(mjd_utc)), offset_hours)


def second_of_night(mjd_utc: float, offset_hours: float) -> int:
    """Return the second of the day that `day_obs` names, 0 to 86399.

    Parameters
    ----------
    mjd_utc : float
        MJD (UTC) [day].
    offset_hours : float
        As in `day_obs` [h].

    Returns
    -------
    int
    """
    shifted = mjd_utc + offset_hours / 24.0
    return min(int((shifted - int(shifted)) * _SECONDS_PER_DAY), 86399)
