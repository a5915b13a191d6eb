"""Parts of the page: sections with facts, tables and pictures."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_EMPTY = "–"


@dataclass(frozen=True)
class Picture:
    """One or more images under one caption.

    Parameters
    ----------
    title : str
        What is shown.
    images : sequence of (bytes, str)
        PNG and label.
    right, wrong : str
        What a healthy picture looks like, and what would be a fault.
    """

    title: str
    images: Sequence[tuple[bytes, str]]
    right: str
    wrong: str

    @property
    def sources(self) -> list[tuple[str, str]]:
        """Images as data URIs with their labels."""
        return [
            (f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}", label) for data, label in self.images
        ]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    key : str
        Key of the rows.
    heading : str
        With the unit.
    format : str
        Python format of numbers.
    """

    key: str
    heading: str
    format: str = ""

    def text(self, row: Mapping[str, Any]) -> str:
        """Return the cell's text."""
        return text(row.get(self.key), self.format)


@dataclass(frozen=True)
class Grid:
    """A table.

    Parameters
    ----------
    title : str
        Above it.
    columns : sequence of Column
        From left to right.
    rows : sequence of mapping
        From top to bottom.
    note : str
        Below it.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    note: str = ""

    def is_number(self, column: Column) -> bool:
        """Whether a column is aligned to the right."""
        values = [row.get(column.key) for row in self.rows]
        known = [value for value in values if value is not None]
        return bool(known) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Parameters
    ----------
    name, title : str
        Anchor and heading.
    lead : str
        First sentences.
    facts : sequence of (str, str)
        Tiles: label and value.
    grids, pictures : sequence
        Tables and pictures, in this order.
    missing : sequence of str
        What is not there, and how to make it.
    """

    name: str
    title: str
    lead: str = ""
    facts: Sequence[tuple[str, str]] = ()
    grids: Sequence[Grid] = ()
    pictures: Sequence[Picture] = ()
    missing: Sequence[str] = field(default_factory=tuple)


def text(value: Any, format: str = "") -> str:
    """Return a value for the page; a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return _EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and format:
        return f"{value:{format}}"
    if isinstance(value, list | tuple):
        return ", ".join(text(item, format) for item in value) or _EMPTY
    return str(value)


def absent(dataset: str, pipeline: str) -> str:
    """Return the sentence about a missing dataset."""
    return f"No {dataset} in this repository: the pipeline “{pipeline}” makes it."
