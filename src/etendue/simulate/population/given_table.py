"""A user's own table: read by name, checked by column, every complaint one line with file, column, row and value."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from etendue.errors import InputError
from etendue.simulate.beside import BesidePath
from etendue.simulate.population.layer import Columns
from etendue.table.formats import read_any

Vector = NDArray[np.float64]
Limits = dict[str, tuple[float, float]]

_RENAME = "name it in rename"
_POSITION = {"ra": "ra_deg", "dec": "dec_deg"}  # as sky tables and as tables of the truth call them


class TableFile(BaseModel):
    """Where a table is, and what it calls its columns."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    path: BesidePath
    """CSV, FITS, Parquet or VOTable; beside the survey's YAML file if it is not absolute."""

    rename: dict[str, str] = Field(default_factory=dict)
    """Names that are wanted, and what the table calls them."""


@dataclass(frozen=True, slots=True, eq=False)
class GivenTable:
    """A table that was read; rows count from 0.

    Parameters
    ----------
    source : Path
        The file, named in every complaint.
    columns : dict of ndarray
        Columns of equal length under the names that are wanted.
    size : int
        Rows.
    """

    source: Path
    columns: Columns
    size: int

    @classmethod
    def read(cls, path: Path, rename: dict[str, str]) -> "GivenTable":
        """Read a table.

        Parameters
        ----------
        path : Path
            The file.
        rename : dict of str to str
            Names that are wanted, and what the table calls them.

        Returns
        -------
        GivenTable

        Raises
        ------
        InputError
            If the file cannot be read, or lacks a column that is to be renamed.
        """
        columns = dict(read_any(path))
        for ours, theirs in rename.items():
            if theirs not in columns:
                raise InputError(f"no column {theirs}", source=path, value=sorted(columns), remedy="correct rename")
            columns[ours] = columns.pop(theirs)
        return cls(path, columns, next(iter(columns.values())).size if columns else 0)

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def numbers(
        self, name: str, default: float | Vector | None = None, low: float = -np.inf, high: float = np.inf
    ) -> Vector:
        """Return a column of numbers.

        Parameters
        ----------
        name : str
            Column.
        default : float or ndarray, shape (n,), optional
            What is taken where the table has nothing; without, the column must be there and complete.
        low, high : float
            Smallest and largest number that may be.

        Returns
        -------
        ndarray, float64, shape (n,)

        Raises
        ------
        InputError
            If the column is missing, incomplete, no numbers or beyond the limits.
        """
        if name not in self.columns:
            if default is None:
                raise self.lacks(name)
            return np.full(self.size, default) if np.ndim(default) == 0 else np.asarray(default, float)
        values = self._floats(name)
        if default is None:
            self.refuse(name, ~np.isfinite(values), "is not finite", "give a number in every row")
        else:
            values = np.where(np.isfinite(values), values, default)
        self.refuse(name, (values < low) | (values > high), "not possible", f"give {low:g} to {high:g}")
        return values

    def texts(self, name: str, default: str | None = None, known: Sequence[str] = ()) -> NDArray[np.str_]:
        """Return a column of text.

        Parameters
        ----------
        name : str
            Column.
        default : str, optional
            What is taken where the table has nothing; without, the column must be there.
        known : sequence of str
            What may be in it; anything if empty.

        Returns
        -------
        ndarray, str, shape (n,)

        Raises
        ------
        InputError
            If the column is missing or holds what is not known.
        """
        if name not in self.columns and default is None:
            raise self.lacks(name)
        given = self.columns.get(name, np.full(self.size, ""))
        texts = np.asarray(given, np.str_) if self.size else np.zeros(0, np.str_)
        texts = texts if default is None else np.where(texts == "", default, texts)
        if known:
            self.refuse(name, ~np.isin(texts, known), "is not known", f"one of {', '.join(known)}")
        return texts

    def positions(self) -> tuple[Vector, Vector]:
        """Return where objects are.

        Returns
        -------
        ra_deg, dec_deg : ndarray, float64, shape (n,)
            Columns ``ra`` and ``dec``, or ``ra_deg`` and ``dec_deg`` [deg].

        Raises
        ------
        InputError
            If they are missing, incomplete or impossible.
        """
        ra, dec = (ours if ours in self or theirs not in self else theirs for ours, theirs in _POSITION.items())
        return self.numbers(ra, low=-360.0, high=360.0) % 360.0, self.numbers(dec, low=-90.0, high=90.0)

    def over(self, drawn: Columns, rows: NDArray[np.int64], limits: Limits) -> Columns:
        """Replace drawn columns by the table's where it has them.

        Parameters
        ----------
        drawn : dict of ndarray, shape (m,)
            What is taken where the table has nothing.
        rows : ndarray, int64, shape (m,)
            Rows of the table that the drawn ones are for.
        limits : dict of str to (float, float)
            Smallest and largest number of some columns.

        Returns
        -------
        dict of ndarray
            The same columns, of the same types.

        Raises
        ------
        InputError
            If a column holds no numbers, or some beyond its limits.
        """
        whole = {}
        for name, values in drawn.items():
            if name not in self:
                whole[name] = values
            elif values.dtype.kind != "f":  # words and flags: a float would lose digits
                whole[name] = self.columns[name][rows].astype(values.dtype)
            else:
                default = np.full(self.size, np.nan)
                default[rows] = values
                taken = np.where(np.isfinite(given := self._floats(name)), given, default)
                low, high = limits.get(name, (-np.inf, np.inf))
                wrong = np.zeros(self.size, bool)
                wrong[rows] = (taken[rows] < low) | (taken[rows] > high)
                self.refuse(name, wrong, "not possible", f"give {low:g} to {high:g}")
                whole[name] = taken[rows]
        return whole

    def refuse(self, name: str, bad: NDArray[np.bool_], what: str, remedy: str) -> None:
        """Complain about the first bad row of a column.

        Parameters
        ----------
        name : str
            Column.
        bad : ndarray, bool, shape (n,)
            Rows that are wrong.
        what : str
            What is wrong with them.
        remedy : str
            What to do about it.

        Raises
        ------
        InputError
            If any row is bad.
        """
        if bad.any():
            row = int(np.argmax(bad))
            value = self.columns[name][row] if name in self.columns else None
            raise InputError(
                f"column {name}, row {row}: {what}", source=self.source, value=getattr(value, "item", lambda: value)(),
                remedy=remedy,
            )  # fmt: skip

    def lacks(self, name: str) -> InputError:
        """Return the complaint about a missing column.

        Parameters
        ----------
        name : str
            Column.

        Returns
        -------
        InputError
        """
        return InputError(f"no column {name}", source=self.source, value=sorted(self.columns), remedy=_RENAME)

    def _floats(self, name: str) -> Vector:
        try:
            return np.array(self.columns[name], np.float64)
        except (TypeError, ValueError):
            bad = np.array([not _is_number(text) for text in self.columns[name].tolist()])
            self.refuse(name, bad, "does not hold a number", "correct the row, or rename another column")
            raise


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True
