"""Entering a batch of raw frames into a repository: all of it or nothing."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DimensionRecord, FileDataset

from etendue.faults import fault_point
from etendue.middleware.datastores import file_datastores
from etendue.middleware.formatters import RawFormatter
from etendue.middleware.ingest.file_reader import FoundFrame
from etendue.middleware.ingest.outcome import Transfer
from etendue.middleware.ingest.records import exposure_records, insert_records


def insert(butler: Butler, frames: Collection[FoundFrame], transfer: Transfer, checksums: Mapping[str, str]) -> None:
    """Enter frames that are new: dimension records, datasets and files in one transaction.

    Parameters
    ----------
    butler : Butler
        Writeable, with ``run`` set to the collection of raws.
    frames : collection of FoundFrame
        Of one camera, not empty.
    transfer : {"copy", "link", "direct"}
        What becomes of their files.
    checksums : mapping of str to str
        Of the files, by path; those that are missing are computed where the repository records any.
    """
    with butler.transaction(), ExitStack() as stack:
        insert_records(butler, [frame.info for frame in frames])
        fault_point("ingest.after-records")
        files = _datasets(butler, frames)
        known = {_uri(path): checksum for path, checksum in checksums.items() if checksum}
        for store in file_datastores(butler):
            if store.useChecksum and len(known) == len(files):
                stack.enter_context(_recording(store, known))
        butler.ingest(*files, transfer=transfer)
        fault_point("ingest.after-copy")
    fault_point("ingest.after-commit")


def _uri(path: str) -> str:
    return Path(path).resolve().as_uri()  # a path would be cut at "#" and "?"


def _datasets(butler: Butler, frames: Collection[FoundFrame]) -> list[FileDataset]:
    assert butler.run is not None
    dataset_type = butler.get_dataset_type("raw")
    refs: dict[str, list[DatasetRef]] = {}
    for frame, data_id in zip(frames, _data_ids(butler, frames), strict=True):
        refs.setdefault(_uri(frame.path), []).append(DatasetRef(dataset_type, data_id, run=butler.run))
    return [FileDataset(uri, members, formatter=RawFormatter) for uri, members in refs.items()]


def _data_ids(butler: Butler, frames: Collection[FoundFrame]) -> Iterator[DataCoordinate]:
    """Give data IDs with the records that names of files are made of; the registry would ask for each by itself."""
    instrument = next(iter(frames)).info.instrument
    exposures = exposure_records(butler, instrument, {frame.info.exposure_id for frame in frames})
    records = _by_key(butler, instrument)
    group = butler.dimensions.conform(["exposure", "detector"])
    for frame in frames:
        exposure = exposures[frame.info.exposure_id]
        chosen = {
            "instrument": records["instrument", instrument],
            "detector": records["detector", frame.info.detector_id],
            "physical_filter": records["physical_filter", exposure.physical_filter],
            "band": None,
            "day_obs": _record(butler, "day_obs", instrument=instrument, id=exposure.day_obs),
            "group": _record(butler, "group", instrument=instrument, name=exposure.group),
            "exposure": exposure,
        }
        chosen["band"] = _record(butler, "band", name=chosen["physical_filter"].band)
        values = {"instrument": instrument, "exposure": frame.info.exposure_id, "detector": frame.info.detector_id}
        yield DataCoordinate.from_required_values(group, tuple(values[name] for name in group.required)).expanded(
            chosen
        )


def _by_key(butler: Butler, instrument: str) -> dict[tuple[str, Any], DimensionRecord]:
    """Return the records of a camera, its detectors and filters."""
    return {
        (element, record.dataId[element]): record
        for element in ("instrument", "detector", "physical_filter")
        for record in butler.query_dimension_records(element, instrument=instrument, explain=False, limit=None)
    }


def _record(butler: Butler, element: str, **values: Any) -> DimensionRecord:
    return butler.dimensions[element].RecordClass(**values)


@contextmanager
def _recording(store: Any, checksums: Mapping[str, str]) -> Iterator[None]:
    """Let a datastore record checksums that are known: those of the files as they were delivered.

    Rubin's datastore would read every file once more, one after the other; and would not notice a copy that went wrong.
    """
    extract = store._extractIngestInfo

    def with_checksum(path: Any, ref: DatasetRef, **options: Any) -> Any:
        return extract(path, ref, **options).update(checksum=checksums[str(path)])

    store.useChecksum, store._extractIngestInfo = False, with_checksum
    try:
        yield
    finally:
        store.useChecksum = True
        del store._extractIngestInfo
