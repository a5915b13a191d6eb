"""Make alerts of detections: history, object, forced photometry and cutouts in LSST's packets."""

import io
from collections.abc import Mapping, Sequence

import fastavro
import numpy as np

from etendue.alerts.alert_schema import AlertSchema, load_alert_schema
from etendue.alerts.batch import AlertBatch
from etendue.alerts.records import Record, avro_records
from etendue.alerts.wire import to_wire
from etendue.errors import InputError
from etendue.table.table import Table

CUTOUTS = ("cutoutDifference", "cutoutScience", "cutoutTemplate")


def package_alerts(
    *,
    visit: int,
    detector: int,
    dia_sources: Table,
    history: Table | None = None,
    dia_objects: Table | None = None,
    forced_sources: Table | None = None,
    cutouts: Mapping[str, Sequence[bytes]] | None = None,
    target_name: str | None = None,
) -> AlertBatch:
    """Return one alert for each detection, sorted by ``diaSourceId``.

    Parameters
    ----------
    visit, detector : int
        Where the detections come from.
    dia_sources : Table
        Detections, of schema ``dia_source``; those with a ``diaObjectId`` get history, object and forced photometry.
    history : Table, optional
        Earlier and present detections (``dia_source``); of these the strictly earlier ones of the object are sent.
    dia_objects : Table, optional
        Of schema ``dia_object``, with the present detections included in their means.
    forced_sources : Table, optional
        Of schema ``dia_forced_source``, any epoch before the detection's.
    cutouts : mapping of str to sequence of bytes, optional
        FITS files in the order of ``dia_sources``, by the names in ``CUTOUTS``.
    target_name : str, optional
        What the telescope was pointed at.

    Returns
    -------
    AlertBatch
        The same bytes for the same input.

    Raises
    ------
    InputError
        If a cutout list has another length than ``dia_sources`` or an unknown name.
    """
    stamps = _checked_cutouts(cutouts or {}, len(dia_sources))
    schema = load_alert_schema()
    records = avro_records(dia_sources, schema.record("diaSource"))
    earlier = _by_object(history, schema.record("diaSource"))
    forced = _by_object(forced_sources, schema.record("diaForcedSource"))
    objects = _by_object(dia_objects, schema.record("diaObject"))
    ids, packets = [], []
    for row in np.argsort(dia_sources["diaSourceId"], kind="stable").tolist():
        alert: Record = {
            "diaSourceId": records[row]["diaSourceId"],
            "target_name": target_name,
            "diaSource": records[row],
        }
        alert["prvDiaSources"] = _before(earlier, records[row])
        alert["prvDiaForcedSources"] = _before(forced, records[row])
        alert["diaObject"] = next(iter(objects.get(records[row]["diaObjectId"], ())), None)
        alert.update({name: stamps[name][row] for name in stamps})
        ids.append(alert["diaSourceId"])
        packets.append(_encode(alert, schema))
    return AlertBatch(visit, detector, tuple(ids), tuple(packets))


def _checked_cutouts(cutouts: Mapping[str, Sequence[bytes]], n: int) -> Mapping[str, Sequence[bytes]]:
    for name, stamps in cutouts.items():
        if name not in CUTOUTS:
            raise InputError("alerts have no such cutout", value=name, remedy=f"use some of {CUTOUTS}")
        if len(stamps) != n:
            raise InputError(f"{len(stamps)} cutouts for {n} detections", source=name)
    return cutouts


def _by_object(table: Table | None, definition: Record) -> dict[int, list[Record]]:
    """Group records by object, each group in the order of time."""
    groups: dict[int, list[Record]] = {}
    if table is not None:
        time = "midpointMjdTai" if "midpointMjdTai" in table else "diaObjectId"
        for record in avro_records(table.sort_by(time), definition):
            if record["diaObjectId"]:
                groups.setdefault(record["diaObjectId"], []).append(record)
    return groups


def _before(groups: Mapping[int, list[Record]], source: Record) -> list[Record] | None:
    """Return the object's records that are earlier than a detection, None if there are none."""
    records = groups.get(source["diaObjectId"], [])
    return [record for record in records if record["midpointMjdTai"] < source["midpointMjdTai"]] or None


def _encode(alert: Record, schema: AlertSchema) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, schema.definition, alert)
    return to_wire(schema.schema_id, stream.getvalue())
