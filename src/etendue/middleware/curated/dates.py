"""Names of files that say from when on their content is valid, and the ranges that follow from them."""

import re
from collections.abc import Iterable
from typing import Final

from astropy.time import Time
from lsst.daf.butler import Timespan

from etendue.errors import InputError

ALWAYS: Final = "19700101T000000"
"""Name of what is valid since ever; no time of Rubin's is earlier."""
_YEARS = 1970, 2100  # Rubin's time spans reach so far
_NAME = re.compile(r"(\d{4})(\d{2})(\d{2})[Tt](\d{2})(\d{2})(\d{2})((?:\.\d{1,9})?)")


def begin_of(name: str) -> Time | None:
    """Return the time that a file's name says.

    Parameters
    ----------
    name : str
        ``20260320T120000``, TAI, with up to nine digits behind a point.

    Returns
    -------
    Time or None
        None for `ALWAYS`.

    Raises
    ------
    InputError
        It is no such name, or no time.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise InputError("the name is no date", value=name, remedy="name it as 20260320T120000, in TAI")
    if name.upper() == ALWAYS:
        return None
    year, month, day, hour, minute, second, fraction = found.groups()
    try:
        begin = Time(f"{year}-{month}-{day}T{hour}:{minute}:{second}{fraction}", format="isot", scale="tai")
    except ValueError:
        raise InputError("the name is no date", value=name, remedy="correct it") from None
    if not _YEARS[0] <= int(year) < _YEARS[1]:
        raise InputError("no time of validity", value=name, remedy=f"give years from {_YEARS[0]} to {_YEARS[1] - 1}")
    return begin


def name_of(begin: Time | None) -> str:
    """Return the name that `begin_of` reads back to the nanosecond.

    Parameters
    ----------
    begin : Time, optional
        Begin of a validity; None for since ever.

    Returns
    -------
    str
    """
    if begin is None:
        return ALWAYS
    date, _, fraction = Time(begin.tai, format="isot", precision=9).isot.partition(".")
    name = date.replace("-", "").replace(":", "")
    return name + f".{fraction}".rstrip("0").rstrip(".")


def ranges(begins: Iterable[Time | None]) -> list[Timespan]:
    """Return from when to when dated files are valid: each until the next begins, the last for ever.

    Parameters
    ----------
    begins : iterable of Time or None
        In any order, none twice; None for since ever.

    Returns
    -------
    list of Timespan
        In the order of ``begins``; together they hold every time from the earliest on, once.
    """
    given = list(begins)
    order = sorted(range(len(given)), key=lambda k: _sortable(given[k]))
    ends = [*(given[k] for k in order[1:]), None]
    by_place = {k: Timespan(given[k], end) for k, end in zip(order, ends, strict=True)}
    return [by_place[k] for k in range(len(given))]


def _sortable(begin: Time | None) -> tuple[float, float]:
    return (float("-inf"), 0.0) if begin is None else (begin.tai.jd1, begin.tai.jd2)
