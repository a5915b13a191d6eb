"""One column of a table: what it is called and what it means."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from etendue.errors import InputError

_BAND = "{band}_"
_KINDS: dict[str, Any] = {
    "int64": np.int64,
    "int32": np.int32,
    "int16": np.int16,
    "float64": np.float64,
    "float32": np.float32,
    "bool": np.bool_,
    "string": np.str_,
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column, or the template of one column per band (its name starts with ``{band}_``).

    Parameters
    ----------
    name : str
        LSST's name where LSST has the column.
    type : str
        One of int64, int32, int16, float64, float32, bool, string.
    unit : str
        Unit in the VOUnit syntax; empty when dimensionless.
    ucd : str
        Unified content descriptor (IVOA UCD1+); may be empty.
    doc : str
        What the column holds.
    nullable : bool
        Whether it may be left out; it then reads NaN, 0, False or "".
    origin : str
        ``file.Table`` of the package lsst-sdm-schemas, or ``etendue``.
    """

    name: str
    type: str
    unit: str = ""
    ucd: str = ""
    doc: str = ""
    nullable: bool = False
    origin: str = "etendue"

    def __post_init__(self) -> None:
        """Refuse unknown types."""
        if self.type not in _KINDS:
            raise InputError("unknown column type", source=self.name, value=self.type, remedy=f"use one of {[*_KINDS]}")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of the column."""
        return np.dtype(_KINDS[self.type])

    @property
    def null(self) -> float | int | bool | str:
        """The value that stands for "not measured": NaN, 0, False or ""."""
        nulls: dict[str, float | int | bool | str] = {"f": np.nan, "i": 0, "b": False, "U": ""}
        return nulls[self.dtype.kind]

    @property
    def is_template(self) -> bool:
        """Whether this stands for one column per band."""
        return self.name.startswith(_BAND)

    @property
    def suffix(self) -> str:
        """The name without the ``{band}_`` of a template."""
        return self.name.removeprefix(_BAND)

    def for_band(self, band: str) -> "Column":
        """Return the column that this template means in ``band``.

        Parameters
        ----------
        band : str
            Name of the band.

        Returns
        -------
        Column
        """
        return replace(self, name=f"{band}_{self.suffix}", doc=self.doc.replace("{band}", band))
