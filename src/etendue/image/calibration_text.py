"""Defects and gains as text that people edit and keep under version control: ECSV or YAML."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from astropy.table import Table as AstropyTable
from numpy.typing import NDArray

from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.image.defects import Defects
from etendue.image.ptc import AmplifierGain, Ptc

TEXT_SUFFIXES = (".ecsv", ".yaml")
_WORDS = {"i": "whole numbers", "f": "numbers", "b": "true or false", "U": "text"}
_ACCEPTED = {"i": "iu", "f": "iuf", "b": "b", "U": "U"}  # kinds of numpy that a column may come in


class _Column(NamedTuple):
    """One column of a text file."""

    name: str
    kind: str
    """``i``, ``f``, ``b`` or ``U``, as numpy's."""
    default: Any = None
    """Where the file lacks the column; None where it must not."""


_DEFECTS = tuple(_Column(name, "i") for name in ("x0", "y0", "width", "height"))
_PTC = (
    _Column("name", "U"), _Column("gain", "f"), _Column("gain_err", "f", np.nan), _Column("read_noise", "f"),
    _Column("read_noise_err", "f", np.nan), _Column("header_gain", "f", np.nan), _Column("consistent", "b", True),
    _Column("turnoff_adu", "f", np.nan),
)  # fmt: skip


def read_defects(path: Path) -> tuple[Defects, dict[str, Any]]:
    """Read boxes of bad pixels.

    Parameters
    ----------
    path : Path
        ECSV with the columns x0, y0, width, height (zero-based, trimmed detector, as Rubin's), or YAML with a list
        ``boxes`` of them.

    Returns
    -------
    defects : Defects
    about : dict
        What else the file says of itself.

    Raises
    ------
    InputError
        The file cannot be read, lacks a column, or holds no such box.
    """
    columns, about = _read(path, _DEFECTS, "boxes")
    x0, y0, width, height = (columns[column.name] for column in _DEFECTS)
    for name in ("width", "height"):
        if np.any(columns[name] < 1):
            raise InputError(f"{name} is not positive", source=path, value=int(columns[name].min()))
    limits = np.stack([y0, y0 + height, x0, x0 + width], axis=-1)
    return Defects(tuple(map(Box.from_list, limits.tolist()))), about


def read_ptc(path: Path) -> tuple[Ptc, dict[str, Any]]:
    """Read gains and read noises.

    Parameters
    ----------
    path : Path
        ECSV with the columns name, gain [e-/ADU], read_noise [e-] and, if known, gain_err, read_noise_err, header_gain
        and consistent; or YAML with a list ``amplifiers`` of them.

    Returns
    -------
    ptc : Ptc
    about : dict
        What else the file says of itself.

    Raises
    ------
    InputError
        The file cannot be read, lacks a column, or a value is impossible.
    """
    columns, about = _read(path, _PTC, "amplifiers")
    for name in ("gain", "read_noise"):
        bad = ~np.isfinite(columns[name]) | (columns[name] < 0.0)
        if np.any(bad):
            raise InputError(f"{name} of amplifier {columns['name'][bad][0]} is not positive", source=path,
                             value=float(columns[name][bad][0]))  # fmt: skip
    names = columns["name"].tolist()
    if len(set(names)) < len(names):
        raise InputError("an amplifier comes twice", source=path, value=names)
    values = zip(*(columns[column.name].tolist() for column in _PTC), strict=True)
    try:
        return Ptc(tuple(AmplifierGain(*row) for row in values)), about
    except InputError as error:
        raise InputError(str(error), source=path) from None


def write_defects(defects: Defects, path: Path, about: Mapping[str, Any]) -> None:
    """Write boxes of bad pixels as ECSV, whole or not at all.

    Parameters
    ----------
    defects : Defects
        The boxes.
    path : Path
        File to make.
    about : mapping
        Put into the head of the file.
    """
    boxes = np.array([box.to_list() for box in defects.boxes], np.int64).reshape(-1, 4)  # y0, y1, x0, x1
    columns = (boxes[:, 2], boxes[:, 0], boxes[:, 3] - boxes[:, 2], boxes[:, 1] - boxes[:, 0])
    _write(dict(zip((column.name for column in _DEFECTS), columns, strict=True)), path, about)


def write_ptc(ptc: Ptc, path: Path, about: Mapping[str, Any]) -> None:
    """Write gains and read noises as ECSV, whole or not at all.

    Parameters
    ----------
    ptc : Ptc
        Gains and read noises.
    path : Path
        File to make.
    about : mapping
        Put into the head of the file.
    """
    names = [column.name for column in _PTC]
    _write({name: np.array([getattr(entry, name) for entry in ptc.amplifiers]) for name in names}, path, about)


def _write(columns: Mapping[str, NDArray[Any]], path: Path, about: Mapping[str, Any]) -> None:
    table = AstropyTable(dict(columns), meta=dict(about))
    with whole_file(path, "calibration-text") as part:
        table.write(part, format="ascii.ecsv")


def _read(path: Path, wanted: Sequence[_Column], key: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    found, about, rows = _rows_of_yaml(path, key) if path.suffix == ".yaml" else _columns_of_ecsv(path)
    known = [column.name for column in wanted]
    if foreign := sorted(set(found) - set(known)):
        raise InputError("no such column", source=path, value=foreign[0], remedy=f"give {', '.join(known)}")
    return {column.name: _checked(column, found, rows, path) for column in wanted}, about


def _checked(column: _Column, found: Mapping[str, Any], rows: int, path: Path) -> NDArray[Any]:
    values = found.get(column.name)
    if values is None:
        if column.default is None and rows:
            raise InputError(f"lacks the column {column.name}", source=path, remedy="add it")
        return np.full(rows, column.default if column.default is not None else 0)
    array = np.asarray(values)
    if array.size and array.dtype.kind not in _ACCEPTED[column.kind]:
        odd = next((v for v in array.tolist() if np.asarray(v).dtype.kind not in _ACCEPTED[column.kind]), values[0])
        raise InputError(f"{column.name} is not {_WORDS[column.kind]}", source=path, value=odd, remedy="correct it")
    return array.astype(np.float64 if column.kind == "f" else np.int64) if column.kind in "if" else array


def _columns_of_ecsv(path: Path) -> tuple[dict[str, Any], dict[str, Any], int]:
    try:
        table = AstropyTable.read(path, format="ascii.ecsv")
    except Exception as error:  # astropy reports damage by many kinds of exceptions
        raise InputError(f"cannot be read as ECSV: {error}", source=path, remedy="correct or leave it out") from error
    for name in table.colnames:
        column = table[name]
        if getattr(column, "mask", None) is not None and np.any(column.mask):
            if column.dtype.kind != "f":
                raise InputError(f"{name} lacks a value", source=path, remedy="give one in every row")
            table[name] = column.filled(np.nan)
    return {name: np.asarray(table[name]) for name in table.colnames}, dict(table.meta), len(table)


def _rows_of_yaml(path: Path, key: str) -> tuple[dict[str, Any], dict[str, Any], int]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"cannot be read as YAML: {error}", source=path, remedy="correct or leave it out") from error
    rows = content.get(key) if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"holds no list '{key}' of entries with names", source=path, remedy=f"begin with '{key}:'")
    names = list(dict.fromkeys(str(name) for row in rows for name in row))
    if short := [name for name in names if any(name not in row for row in rows)]:
        raise InputError(f"an entry of {key} lacks {short[0]}", source=path, remedy="give it in all or in none")
    about = {str(name): value for name, value in content.items() if name != key}
    return {name: [row[name] for row in rows] for name in names}, about, len(rows)
