"""Pointing lists in files."""

from pathlib import Path

from pydantic import ValidationError

from etendue.errors import InputError
from etendue.simulate.night.spec import ListedExposure
from etendue.table.formats import read_any


def read_exposures(path: Path | None) -> tuple[ListedExposure, ...]:
    """Read a pointing list.

    Parameters
    ----------
    path : Path or None
        CSV, FITS, Parquet or VOTable with the columns of `ListedExposure`; None for an empty list.

    Returns
    -------
    tuple of ListedExposure

    Raises
    ------
    InputError
        If it cannot be read, or a row is wrong: one line names it.
    """
    if path is None:
        return ()
    columns = read_any(path)
    names = [name for name in ListedExposure.model_fields if name in columns]
    rows = zip(*(list(columns[name]) for name in names), strict=True)
    found = []
    for number, values in enumerate(rows):
        given = {name: value for name, value in zip(names, values, strict=True) if value == value and value != ""}
        try:
            found.append(
                ListedExposure.model_validate({key: getattr(v, "item", lambda v=v: v)() for key, v in given.items()})
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(first["msg"], source=f"{path} row {number}", value=first.get("input"),
                             remedy="correct the row") from None  # fmt: skip
    return tuple(found)
