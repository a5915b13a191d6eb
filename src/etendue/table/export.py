"""Tables in the formats of other programs."""

from os import PathLike
from pathlib import Path

from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.table.parquet import write_table
from etendue.table.table import Table

SUFFIXES = {"parquet": ".parquet", "fits": ".fits", "votable": ".vot", "csv": ".csv"}
"""Endings by name of the format."""

_ASTROPY = {"fits": {"format": "fits"}, "csv": {"format": "ascii.csv"},
            "votable": {"format": "votable", "tabledata_format": "binary"}}  # fmt: skip


def export_table(table: Table, path: str | PathLike[str], file_format: str) -> None:
    """Write a table in a common format; the file appears whole or not at all.

    Parameters
    ----------
    table : Table
        Any table. Units and descriptions are kept, except in CSV, which has no place for them.
    path : str or path
        Local file, replaced if it exists.
    file_format : {"parquet", "fits", "votable", "csv"}
        Format.

    Raises
    ------
    InputError
        If the format is unknown.
    """
    if file_format == "parquet":
        write_table(table, path)
        return
    if file_format not in _ASTROPY:
        raise InputError("unknown table format", value=file_format, remedy=f"use one of {', '.join(SUFFIXES)}")
    with whole_file(Path(path), "table") as part:
        table.to_astropy().write(part, **_ASTROPY[file_format])
