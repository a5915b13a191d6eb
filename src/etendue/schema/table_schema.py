"""Table schemas: the columns, units and meaning of every table that etendue writes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any

import yaml

from etendue.errors import InputError
from etendue.schema.column import Column


@dataclass(frozen=True)
class TableSchema:
    """The columns of one kind of table.

    Parameters
    ----------
    name : str
        Name of the table.
    version : int
        Grows when a column is removed or changes its meaning.
    description : str
        What one row is.
    primary_key : tuple of str
        Columns that together identify a row.
    columns : tuple of Column
        In the order in which they are written; templates stand for one column per band.
    """

    name: str
    version: int
    description: str
    primary_key: tuple[str, ...]
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        """Index the columns by name, templates by what follows the band."""
        fixed = {column.name: column for column in self.columns if not column.is_template}
        templates = {column.suffix: column for column in self.columns if column.is_template}
        if len(fixed) + len(templates) < len(self.columns):
            names = [column.name for column in self.columns]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise InputError("columns stand twice in a table", source=f"table {self.name}", value=", ".join(twice))
        object.__setattr__(self, "_fixed", fixed)
        object.__setattr__(self, "_templates", templates)

    @property
    def position_columns(self) -> tuple[str, str] | None:
        """Names of right ascension and declination [deg], or None for a table without positions."""
        fixed: Mapping[str, Column] = self._fixed  # type: ignore[attr-defined]
        return next((pair for pair in (("ra", "dec"), ("coord_ra", "coord_dec")) if pair[0] in fixed), None)

    def band_of(self, name: str) -> str | None:
        """Return the band of a per-band column, None for any other name.

        Parameters
        ----------
        name : str
            Name of a column.

        Returns
        -------
        str or None
        """
        band, _, suffix = name.partition("_")
        is_band = name not in self._fixed and band and suffix in self._templates  # type: ignore[attr-defined]
        return band if is_band else None

    def column(self, name: str) -> Column:
        """Return the column ``name``.

        Parameters
        ----------
        name : str
            Name of a column; per-band columns by their full name, such as ``r_psfFlux``.

        Returns
        -------
        Column

        Raises
        ------
        InputError
            If the table has no such column; the message names the nearest one.
        """
        band = self.band_of(name)
        if band is not None:
            template: Column = self._templates[name.partition("_")[2]]  # type: ignore[attr-defined]
            return template.for_band(band)
        fixed: Mapping[str, Column] = self._fixed  # type: ignore[attr-defined]
        if name not in fixed:
            near = get_close_matches(name, [column.name for column in self.columns], n=1)
            remedy = f"did you mean {near[0]!r}?" if near else "see etendue/schema/tables"
            raise InputError("the table has no such column", source=f"table {self.name}", value=name, remedy=remedy)
        return fixed[name]

    def bands_in(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the bands of the per-band columns among ``names``, sorted.

        Parameters
        ----------
        names : iterable of str
            Column names.

        Returns
        -------
        tuple of str
        """
        return tuple(sorted({band for name in names if (band := self.band_of(name)) is not None}))

    def expand(self, bands: Iterable[str] = ()) -> tuple[Column, ...]:
        """Return all columns of a table that has these bands.

        Parameters
        ----------
        bands : iterable of str
            Names of the bands; they hold no underscore.

        Returns
        -------
        tuple of Column
            Fixed columns first, then the per-band ones band by band.
        """
        fixed = [column for column in self.columns if not column.is_template]
        templates = [column for column in self.columns if column.is_template]
        return (*fixed, *(template.for_band(band) for band in bands for template in templates))


def schema_names() -> tuple[str, ...]:
    """Return the names of all tables, sorted.

    Returns
    -------
    tuple of str
    """
    folder = resources.files("etendue.schema.tables")
    return tuple(sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml")))


@cache
def load_schema(name: str) -> TableSchema:
    """Return the schema of a table.

    Parameters
    ----------
    name : str
        Name of the table, such as ``source``.

    Returns
    -------
    TableSchema

    Raises
    ------
    InputError
        If there is no such table.
    """
    if name not in schema_names():
        raise InputError("unknown table", value=name, remedy=f"use one of {', '.join(schema_names())}")
    text = (resources.files("etendue.schema.tables") / f"{name}.yaml").read_text("utf-8")
    return _from_document(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def _from_document(document: Mapping[str, Any]) -> TableSchema:
    """Build a schema from its YAML document, inherited columns first."""
    inherited = load_schema(document["extends"]).columns if "extends" in document else ()
    own = tuple(Column(**entry) for entry in document["columns"])
    return TableSchema(
        name=document["name"],
        version=document["version"],
        description=document["description"],
        primary_key=tuple(document["primary_key"]),
        columns=(*inherited, *own),
    )
