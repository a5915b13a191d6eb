"""Reading single quantities from a header by their `FieldSpec`."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etendue.camera.header_spec import FieldSpec, Scalar
from etendue.errors import InputError

_SEXAGESIMAL = re.compile(r"[+-]?\d+(?:[:\s]+\d+(?:\.\d*)?){1,2}")
_PLACE = re.compile(r"\{([^{}]*)\}")
_FACTOR = {"ms": 1e-3, "min": 60.0, "hour": 15.0, "rad": 180.0 / math.pi}
Found = tuple[str, Any]
"""Which card, or what else, gave a value, and the value as it stands there."""


def read_text(header: Mapping[str, Any], spec: FieldSpec, source: object = None) -> str:
    """Return a text.

    Parameters
    ----------
    header : mapping
        FITS header.
    spec : FieldSpec
        Where it stands and how it is mapped.
    source : object, optional
        File; its name is searched where the spec says so.

    Returns
    -------
    str
        Empty if nothing gives one and there is no constant.
    """
    raw = find_value(header, spec, source)
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
        NaN if nothing gives one and there is no constant.

    Raises
    ------
    InputError
        If the value is no number.
    """
    raw = find_value(header, spec, source)
    return math.nan if raw is None else number_of(raw, spec, source)


def number_of(found: Found, spec: FieldSpec, source: object = None) -> float:
    """Return the number that a header value means.

    Parameters
    ----------
    found : tuple
        From `find_value`.
    spec : FieldSpec
        Its unit and map.
    source : object, optional
        File named in errors.

    Returns
    -------
    float
        In etendue's unit.

    Raises
    ------
    InputError
        If the value is no number.
    """
    keyword, value = found
    number = _to_number(_mapped(value, spec))
    if number is None:
        raise InputError(f"{keyword} is no number", source=source, value=value, remedy="correct the header")
    if spec.unit == "K":
        number -= 273.15
    elif spec.unit == "F":
        number = (number - 32.0) / 1.8
    else:
        number *= _FACTOR.get(spec.unit, 1.0)
    number = number * spec.factor + spec.offset
    return number if spec.modulo is None else number % spec.modulo


def find_value(header: Mapping[str, Any], spec: FieldSpec, source: object = None) -> Found | None:
    """Return where a quantity stands, and its value as it stands there.

    Parameters
    ----------
    header : mapping
        FITS header.
    spec : FieldSpec
        What to look for.
    source : object, optional
        File; its name is searched where the spec says so.

    Returns
    -------
    tuple or None
        Keyword (or ``file name`` or ``constant``) and value; None if nothing gives one.
    """
    if spec.join and (joined := _joined(header, spec)) is not None:
        return joined
    for keyword in spec.keywords:
        value = _in_form(header.get(keyword), spec)
        if value is not None and str(value).strip() and not _is_missing(value, spec):
            return keyword, value
    if spec.file_name and source is not None and (match := re.search(spec.file_name, Path(str(source)).name)):
        return "file name", match.group(1)
    return None if spec.constant is None else ("constant", spec.constant)


def write_value(value: Scalar, spec: FieldSpec) -> dict[str, Scalar]:
    """Return the header cards of a quantity: the inverse of `read_text` and `read_number`.

    Parameters
    ----------
    value : str, int or float
        Quantity in etendue's unit; NaN and empty text write nothing.
    spec : FieldSpec
        Where it stands, its unit and its map.

    Returns
    -------
    dict
        One card, or as many as are joined, or none.
    """
    if not (spec.keywords or spec.join) or value == "" or (isinstance(value, float) and math.isnan(value)):
        return {}
    mapped = next((text for text, ours in spec.values.items() if ours == value), None)
    theirs = _in_their_unit(value, spec) if mapped is None else mapped
    if spec.join:
        return _split(str(theirs), spec.join)
    if spec.form:
        theirs = spec.form.format(int(theirs) if isinstance(theirs, float) and theirs.is_integer() else theirs)
    return {spec.keywords[0]: theirs}


def _in_their_unit(value: Scalar, spec: FieldSpec) -> Scalar:
    if not isinstance(value, float):
        return value
    value = (value - spec.offset) / spec.factor
    if spec.unit == "K":
        return value + 273.15
    if spec.unit == "F":
        return value * 1.8 + 32.0
    value /= _FACTOR.get(spec.unit, 1.0)
    return _format_sexagesimal(value) if spec.unit == "hour" else value


def _joined(header: Mapping[str, Any], spec: FieldSpec) -> Found | None:
    keywords = _PLACE.findall(spec.join)
    values = {key: str(header.get(key) if header.get(key) is not None else "").strip() for key in keywords}
    if not all(values.values()):
        return None
    text = _PLACE.sub(lambda match: values[match.group(1)], spec.join)
    return None if _is_missing(text, spec) else ("+".join(keywords), text)


def _split(text: str, form: str) -> dict[str, Scalar]:
    """Return the cards that `_joined` makes a text of; none if it cannot."""
    pieces = _PLACE.split(form)  # text, keyword, text, keyword, ..., text
    pattern = "(.+)".join(re.escape(piece) for piece in pieces[::2])
    match = re.fullmatch(pattern, text)
    return dict(zip(pieces[1::2], match.groups(), strict=True)) if match else {}


def _in_form(value: Any, spec: FieldSpec) -> Any:
    """Return the part of a card's text that counts; None where the card has another form."""
    if not spec.form or value is None:
        return value
    before, after = re.split(r"\{[^{}]*\}", spec.form)
    match = re.fullmatch(f"{re.escape(before)}(.+){re.escape(after)}", str(value).strip())
    return match.group(1) if match else None


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
