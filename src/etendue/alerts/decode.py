"""Decode alert packets, whole or some fields of them."""

import io
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import fastavro
import numpy as np

from etendue.alerts.alert_schema import load_alert_schema
from etendue.alerts.wire import from_wire
from etendue.errors import InputError
from etendue.schema.table_schema import load_schema
from etendue.table.table import Table

_DAMAGE = (EOFError, IndexError, ValueError, TypeError, StopIteration, UnicodeDecodeError, OverflowError, MemoryError)


def decode_alert(message: bytes, fields: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the content of one alert.

    Parameters
    ----------
    message : bytes
        Confluent header and Avro payload, in any version of LSST's schema that is installed.
    fields : sequence of str, optional
        Top-level fields to decode; the others are skipped, which makes leaving out the cutouts cheap.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If the message is damaged or its schema unknown.
    """
    schema_id, payload = from_wire(message)
    definition = load_alert_schema(schema_id).definition
    wanted = None if fields is None else _projection(schema_id, tuple(fields))
    try:
        content = fastavro.schemaless_reader(io.BytesIO(payload), definition, wanted)
    except _DAMAGE as error:
        raise InputError(f"damaged packet: {type(error).__name__} {error}", source="alert") from error
    return dict(content)


def dia_source_table(messages: Iterable[bytes]) -> Table:
    """Return the triggering detections of alerts as a table, ready for SQL.

    Parameters
    ----------
    messages : iterable of bytes
        Alerts.

    Returns
    -------
    Table
        Of schema ``dia_source``, one row per alert, in the order given.
    """
    rows = [decode_alert(message, ("diaSource",))["diaSource"] for message in messages]
    if not rows:
        return Table.empty("dia_source")
    columns = {}
    for column in load_schema("dia_source").columns:
        if column.name in rows[0]:
            values = [column.null if row[column.name] is None else row[column.name] for row in rows]
            columns[column.name] = np.asarray(values, None if column.type == "string" else column.dtype)
    return Table("dia_source", columns)


@cache
def _projection(schema_id: int, fields: tuple[str, ...]) -> dict[str, Any]:
    definition = load_alert_schema(schema_id).definition
    known = {field["name"] for field in definition["fields"]}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise InputError("alerts have no such field", value=unknown, remedy=f"use some of {sorted(known)}")
    kept = [field for field in definition["fields"] if field["name"] in fields]
    parsed = fastavro.parse_schema({"type": "record", "name": definition["name"], "fields": kept})
    return dict(parsed)
