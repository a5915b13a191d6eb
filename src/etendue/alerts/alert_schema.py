"""LSST's alert schemas, read as data from the package lsst-alert-packet."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import fastavro.schema

from etendue.errors import InputError

_PACKAGE = "lsst-alert-packet"


@dataclass(frozen=True, eq=False)
class AlertSchema:
    """One version of the alert schema.

    Parameters
    ----------
    major, minor : int
        Version.
    definition : dict
        The schema as fastavro parses it, complete in itself.
    """

    major: int
    minor: int
    definition: dict[str, Any]

    @property
    def schema_id(self) -> int:
        """Number in the Confluent wire format: LSST registers version 11.1 as 1101."""
        return 100 * self.major + self.minor

    def record(self, name: str) -> dict[str, Any]:
        """Return the definition of a record inside the alert.

        Parameters
        ----------
        name : str
            Short name of the record: diaSource, diaForcedSource, diaObject...

        Returns
        -------
        dict
        """
        return next(item for item in _records(self.definition) if item["name"].endswith(f".{name}"))


def latest_version() -> tuple[int, int]:
    """Return the newest alert schema version that is installed.

    Returns
    -------
    major, minor : int
    """
    major, minor = (_folder() / "latest.txt").read_text("ascii").strip().split(".")
    return int(major), int(minor)


@cache
def load_alert_schema(schema_id: int | None = None) -> AlertSchema:
    """Return an alert schema.

    Parameters
    ----------
    schema_id : int, optional
        ``100 * major + minor``; by default the newest.

    Returns
    -------
    AlertSchema

    Raises
    ------
    InputError
        If this version is not installed.
    """
    major, minor = latest_version() if schema_id is None else divmod(schema_id, 100)
    path = _folder() / str(major) / str(minor) / f"lsst.v{major}_{minor}.alert.avsc"
    if not path.is_file():
        raise InputError("unknown alert schema", value=schema_id, remedy=f"update {_PACKAGE}, which holds them")
    return AlertSchema(major, minor, fastavro.schema.load_schema(str(path)))


def _folder() -> Path:
    return Path(str(metadata.distribution(_PACKAGE).locate_file("lsst/alert/packet/schema")))


def _records(node: Any) -> Iterator[dict[str, Any]]:
    """Find the records that are defined anywhere inside a type."""
    if isinstance(node, list):
        for option in node:
            yield from _records(option)
    elif isinstance(node, dict):
        if node.get("type") == "record":
            yield node
        for field in node.get("fields", []):
            yield from _records(field["type"])
        yield from _records(node.get("items"))
