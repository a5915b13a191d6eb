"""FITS image sections such as ``[18:1382,1:1370]`` and the boxes they name."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from etendue.errors import InputError
from etendue.geom.box import Box, Interval

_PATTERN = re.compile(r"\[\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*\]")


def parse_section(text: str) -> Box:
    """Return the zero-based, half-open box of a FITS section.

    Parameters
    ----------
    text : str
        ``[x1:x2,y1:y2]``, one-based and inclusive, x first.

    Returns
    -------
    Box

    Raises
    ------
    InputError
        If the text is no section or names no pixel.
    """
    match = _PATTERN.fullmatch(str(text).strip())
    if match is None:
        raise InputError("is no FITS section", value=text, remedy="write it as [x1:x2,y1:y2], counted from 1")
    x1, x2, y1, y2 = (int(number) for number in match.groups())
    if not (1 <= x1 <= x2 and 1 <= y1 <= y2):
        raise InputError("is an empty FITS section", value=text, remedy="count from 1, low limit first")
    return Box(y=Interval(y1 - 1, y2), x=Interval(x1 - 1, x2))


def format_section(box: Box) -> str:
    """Return the FITS section of a box.

    Parameters
    ----------
    box : Box
        Zero-based, half-open box.

    Returns
    -------
    str
        ``[x1:x2,y1:y2]``, one-based and inclusive.
    """
    return f"[{box.x.start + 1}:{box.x.stop},{box.y.start + 1}:{box.y.stop}]"


def _validate(value: Any) -> Box:
    if isinstance(value, Box):
        return value
    try:
        return parse_section(value)
    except InputError as error:
        raise ValueError(str(error)) from None


Section = Annotated[Box, BeforeValidator(_validate), PlainSerializer(format_section, return_type=str)]
"""A `Box` that is written as a FITS section in YAML."""
