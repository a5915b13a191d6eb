"""What calibrations are valid when, and which of them is in force."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from astropy.time import Time
from lsst.daf.butler import Butler, CollectionType, Timespan

from etendue.errors import InputError
from etendue.middleware.calibrations import CURATED_DESCRIPTION, calibration_chain
from etendue.middleware.repository import Repository

Key = tuple[str, int | None, str]


@dataclass(frozen=True, slots=True)
class Validity:
    """One calibration, valid from one time to another.

    Parameters
    ----------
    dataset_type : str
        ``"bias"``.
    detector : int or None
        Its detector; None for a calibration of the whole camera.
    physical_filter : str
        Its filter; empty for a calibration of all filters.
    run : str
        RUN collection that holds it.
    collection : str
        CALIBRATION collection that says so.
    span : Timespan
        When it is valid.
    made : float
        When it was put into the repository [MJD, TAI].
    dataset_id : str
        Its id.
    """

    dataset_type: str
    detector: int | None
    physical_filter: str
    run: str
    collection: str
    span: Timespan
    made: float
    dataset_id: str

    @property
    def key(self) -> Key:
        """What it calibrates: dataset type, detector, filter."""
        return self.dataset_type, self.detector, self.physical_filter

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values; begin and end are MJD [TAI], None where the validity is unbounded."""
        begin, end = limits(self.span)
        return {
            "type": self.dataset_type, "detector": self.detector, "filter": self.physical_filter or None,
            "run": self.run, "collection": self.collection, "begin": begin, "end": end, "made": self.made,
            "id": self.dataset_id,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class InForce:
    """A stretch of time in which pipelines take one calibration.

    Parameters
    ----------
    span : Timespan
        The stretch.
    validity : Validity
        The calibration.
    """

    span: Timespan
    validity: Validity


def limits(span: Timespan) -> tuple[float | None, float | None]:
    """Return begin and end of a time span.

    Parameters
    ----------
    span : Timespan
        Not empty.

    Returns
    -------
    begin, end : float or None
        MJD [day, TAI]; None where it is unbounded.
    """
    return None if span.begin is None else _mjd(span.begin), None if span.end is None else _mjd(span.end)


def calibration_collections(home: Repository, camera: str) -> tuple[str, ...]:
    """Return the CALIBRATION collections that pipelines of a camera search, first the one that goes before the others.

    Parameters
    ----------
    home : Repository
        The repository.
    camera : str
        Registered camera.

    Returns
    -------
    tuple of str
    """
    chain = calibration_chain(camera)
    if not home.has_collection(chain):
        return ()
    found = home.butler.collections.query_info(chain, flatten_chains=True)
    return tuple(info.name for info in found if info.type is CollectionType.CALIBRATION)


def validities(
    home: Repository, camera: str, *, collections: Sequence[str] | None = None, types: Collection[str] = ()
) -> tuple[Validity, ...]:
    """Return what is certified for a camera.

    Parameters
    ----------
    home : Repository
        The repository.
    camera : str
        Registered camera.
    collections : sequence of str, optional
        CALIBRATION collections; those that pipelines search by default.
    types : collection of str
        Dataset types; all by default.

    Returns
    -------
    tuple of Validity
        By type, detector and filter, then in the order of the collections, then by time.

    Raises
    ------
    InputError
        A collection does not exist, or is no CALIBRATION collection.
    """
    searched = calibration_collections(home, camera) if collections is None else tuple(collections)
    found: list[tuple[int, Validity]] = []
    for rank, name in enumerate(searched):
        for one in _present_types(home, name):
            if one in types or (not types and one != CURATED_DESCRIPTION):
                found += [(rank, row) for row in _rows(home.butler, one, name, camera)]
    found.sort(key=lambda item: (_sortable(item[1].key), item[0], item[1].span.nsec))
    return tuple(row for _, row in found)


def in_force(rows: Iterable[Validity]) -> dict[Key, tuple[InForce, ...]]:
    """Return which calibration pipelines take when.

    Parameters
    ----------
    rows : iterable of Validity
        As `validities` sorts them: what comes first goes before what comes later.

    Returns
    -------
    dict of (str, int or None, str) to tuple of InForce
        Per dataset type, detector and filter: stretches in the order of time, which do not overlap.
    """
    found: dict[Key, tuple[InForce, ...]] = {}
    for key, group in groupby(sorted(rows, key=lambda row: _sortable(row.key)), key=lambda row: row.key):
        taken: list[InForce] = []
        for row in group:
            free = [row.span]
            for one in taken:
                free = [part for span in free for part in span.difference(one.span)]
            taken += [InForce(span, row) for span in free]
        found[key] = tuple(sorted(taken, key=lambda one: one.span.nsec))
    return found


def hidden_spans(row: Validity, used: Iterable[InForce]) -> list[Timespan]:
    """Return when a calibration is valid, but another one goes before it.

    Parameters
    ----------
    row : Validity
        The calibration.
    used : iterable of InForce
        What `in_force` says of its type, detector and filter.

    Returns
    -------
    list of Timespan
        In the order of time.
    """
    parts = [row.span]
    for one in used:
        if one.validity == row:
            parts = [rest for part in parts for rest in part.difference(one.span)]
    return parts


def _sortable(key: Key) -> tuple[str, int, str]:
    return key[0], -1 if key[1] is None else key[1], key[2]


def _present_types(home: Repository, collection: str) -> list[str]:
    if not home.has_collection(collection):
        raise InputError("no such collection", source=home.path, value=collection)
    [info] = home.butler.collections.query_info(collection, include_summary=True)
    if info.type is not CollectionType.CALIBRATION:
        raise InputError("is no collection of certified calibrations", source=collection,
                         remedy="see 'etendue calib versions'")  # fmt: skip
    return sorted(info.dataset_types or ())


def _rows(butler: Butler, name: str, collection: str, camera: str) -> list[Validity]:
    fields = {"dataset_id", "run", "timespan", "ingest_date"}
    names = butler.get_dataset_type(name).dimensions.required
    with butler.query() as query:
        searched = query.join_dataset_search(name, collection).where(instrument=camera)
        rows = list(searched.general(names, dataset_fields={name: fields}, find_first=False))
    return [
        Validity(
            name, int(row["detector"]) if "detector" in row else None, str(row.get("physical_filter", "")),
            str(row[f"{name}.run"]), collection, row[f"{name}.timespan"], _mjd(row[f"{name}.ingest_date"]),
            str(row[f"{name}.dataset_id"]),
        )
        for row in rows
    ]  # fmt: skip


def _mjd(time: Time) -> float:
    return float(time.tai.mjd)
