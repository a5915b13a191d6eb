"""Reading single quantities from a header by their `FieldSpec`."""

import math
import re
from collections.abc import Mapping
from typing import Any

from etendue.camera.header_spec import FieldSpec, Scalar
from etendue.errors import InputError

_SEXAGESIMAL = re.compile(r"[+-]?\d+(?:[:\s]+\d+(?:\.\d*)?){1,2}")
_FACTOR = {"ms": 1e-3, "min": 60.0, "hour": 15.0}


def read_text(header: Mapping[str, Any], spec: FieldSpec) -> str:
    """Return a text.

    Parameters
    ----------
    header : mapping
        FITS header.
    spec : FieldSpec
        Where it stands and how it is mapped.

    Returns
    -------
    str
        Empty if no keyword gives one and there is no constant.
    """
    raw = _raw_value(header, spec)
    return "" if raw is None else str(_mapped(raw[1], spec)).strip()


def read_number(header: Mapping[str, Any], spec: FieldSpec, source: object = None) -> float:
    """Return a number in etendue's unit (s, deg, deg C, e, e/ADU).

    Parameters
    ----------
    header : mapping
        FITS header; numbers may be stored as text, angles as sexagesimal text.
    spec : FieldSpec
        Where it stands and its unit.
    source : object, optional
        File named in errors.

    Returns
    -------
    float
        NaN if no keyword gives one and there is no constant.

    Raises
    ------
    InputError
        If the value is no number.
    """
    raw = _raw_value(header, spec)
    if raw is None:
        return math.nan
    keyword, value = raw
    number = _to_number(_mapped(value, spec))
    if number is None:
        raise InputError(f"{keyword} is no number", source=source, value=value, remedy="correct the header")
    if spec.unit == "K":
        return number - 273.15
    if spec.unit == "F":
        return (number - 32.0) / 1.8
    return number * _FACTOR.get(spec.unit, 1.0)


def write_value(value: Scalar, spec: FieldSpec) -> dict[str, Scalar]:
    """Return the header card of a quantity: the inverse of `read_text` and `read_number`.

    Parameters
    ----------
    value : str, int or float
        Quantity in etendue's unit; NaN and empty text write nothing.
    spec : FieldSpec
        Where it stands, its unit and its map.

    Returns
    -------
    dict
        One card, or none.
    """
    if not spec.keywords or value == "" or (isinstance(value, float) and math.isnan(value)):
        return {}
    for theirs, ours in spec.values.items():
        if ours == value:
            return {spec.keywords[0]: theirs}
    if isinstance(value, float):
        if spec.unit == "K":
            value += 273.15
        elif spec.unit == "F":
            value = value * 1.8 + 32.0
        else:
            value /= _FACTOR.get(spec.unit, 1.0)
        if spec.unit == "hour":
            value = _format_sexagesimal(value)
    return {spec.keywords[0]: value}


def _raw_value(header: Mapping[str, Any], spec: FieldSpec) -> tuple[str, Any] | None:
    for keyword in spec.keywords:
        value = header.get(keyword)
        if value is not None and str(value).strip() and not _is_missing(value, spec):
            return keyword, value
    return None if spec.constant is None else ("constant", spec.constant)


def _is_missing(value: Any, spec: FieldSpec) -> bool:
    return any(value == entry or str(value).strip() == str(entry) for entry in spec.missing)


def _mapped(value: Any, spec: FieldSpec) -> Any:
    key = str(value).strip().lower()
    for theirs, ours in spec.values.items():
        if theirs.lower() == key:
            return ours
    return value


def _to_number(value: Any) -> float | None:
    text = str(value).strip()
    try:
        if _SEXAGESIMAL.fullmatch(text):
            return _from_sexagesimal(text)
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _from_sexagesimal(text: str) -> float:
    parts = [float(part) for part in re.split(r"[:\s]+", text.lstrip("+-"))]
    size = sum(part / 60.0**power for power, part in enumerate(parts))
    return -size if text.startswith("-") else size


def _format_sexagesimal(value: float) -> str:
    sign = "-" if value < 0 else ""
    units = round(abs(value) * 3600.0 * 1000.0)
    return f"{sign}{units // 3600000:02d}:{units // 60000 % 60:02d}:{units % 60000 / 1000.0:06.3f}"
