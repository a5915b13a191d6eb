"""Copy datasets from one repository to another, with everything that makes them findable there."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsst.daf.butler import Butler, CollectionInfo, CollectionType, DatasetRef, Timespan

from etendue.disk import whole_file
from etendue.errors import InputError
from etendue.faults import fault_point
from etendue.middleware.database import database_trouble
from etendue.middleware.datastores import mirror
from etendue.middleware.repository import Repository
from etendue.middleware.upkeep.holdings import all_datasets

_BATCH = 2000  # datasets copied in one transaction
_OF_ONE_VERSION = re.compile(r"refcats|.+/calib/curated")  # chains


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What was copied.

    Parameters
    ----------
    datasets : int
        Datasets asked for.
    new : int
        Of which the target did not have before.
    without_file : int
        Of which the source has no file: they are known to the target, without a file.
    collections : tuple of str
        Collections of the target that they are in.
    """

    datasets: int
    new: int
    without_file: int = 0
    collections: tuple[str, ...] = field(default=())


def transfer(
    source: Repository,
    target: Repository,
    *,
    collections: Sequence[str] | None = None,
    types: Sequence[str] = (),
    where: str = "",
    transfer: str = "copy",
) -> CopyReport:
    """Copy datasets, their collections, validity ranges, dimension records and cameras; doing it again adds nothing.

    IDs, checksums and sizes stay those of the source.

    Parameters
    ----------
    source : Repository
        Where they are.
    target : Repository
        Writeable.
    collections : sequence of str, optional
        Names or patterns; of chains all members. Everything by default.
    types : sequence of str
        Dataset types; all by default.
    where : str
        Data ID expression.
    transfer : str
        ``copy``, or within one file system ``hardlink``, ``symlink``, ``relsymlink``.

    Returns
    -------
    CopyReport

    Raises
    ------
    InputError
        Nothing matches, or the target has other datasets or cameras under the same names.
    """
    if not target.butler.isWriteable():
        raise InputError("the repository was opened read-only", source=target.path)
    refs = wanted_datasets(source, collections, types, where)
    if not refs and (types or where or collections is not None):
        raise InputError("no dataset matches", source=source.path, value=where or ", ".join(collections or types),
                         remedy="see 'butler query-collections REPO'")  # fmt: skip
    infos = asked_collections(source.butler, refs, collections)
    everything = collections is None and not types and not where
    try:
        return _copy(source, target, refs, infos, transfer, everything)
    except InputError:
        raise
    except Exception as error:  # what conflicts depends on the database
        raise uncopied(error, target.path) from error


def uncopied(error: Exception, place: object) -> InputError:
    """Return why datasets could not be copied, in one line.

    Parameters
    ----------
    error : Exception
        What was raised.
    place : object
        Where they should have gone.
    """
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, FileNotFoundError):
        return InputError(f"a file is missing: {error}", source=place, remedy="see 'etendue repo check' of the source")
    return database_trouble(error) or InputError(
        f"cannot copy into it: {error}", source=place, remedy="copy fewer collections, or into an empty repository"
    )


def copy_registry(
    source: Butler, target: Butler, refs: Sequence[DatasetRef], *, everything: bool, transfer: str = "auto"
) -> None:
    """Make datasets known to another repository; their files are copied unless they are in its place already.

    Parameters
    ----------
    source, target : Butler
        From, to.
    refs : sequence of DatasetRef
        Which datasets.
    everything : bool
        All dimension records and dataset types, not only those that the datasets need.
    transfer : str
        How files are transferred.
    """
    if everything:
        _copy_records(source, target)
        for dataset_type in source.registry.queryDatasetTypes():
            target.registry.registerDatasetType(dataset_type)
    for start in range(0, len(refs), _BATCH):
        batch = refs[start : start + _BATCH]
        target.transfer_from(
            source, batch, transfer=transfer, skip_missing=False, register_dataset_types=True,
            transfer_dimensions=not everything,
        )  # fmt: skip
        mirror(target, source, batch, transfer=transfer)
        fault_point("copy.between-batches")


def copy_collections(
    source: Butler, target: Butler, infos: Iterable[CollectionInfo], refs: Collection[DatasetRef]
) -> list[str]:
    """Make collections, and put copied datasets into them.

    Parameters
    ----------
    source, target : Butler
        From, to.
    infos : iterable of CollectionInfo
        Which collections.
    refs : collection of DatasetRef
        The datasets that were copied.

    Returns
    -------
    list of str
        Names.
    """
    ordered = sorted(infos, key=lambda info: (info.type is CollectionType.CHAINED, info.name))
    for info in ordered:
        target.collections.register(info.name, info.type, doc=info.doc or None)
    known = {ref.id: ref for ref in refs}
    for info in ordered:
        if info.type is CollectionType.TAGGED:
            _tag(source, target, info, known)
        elif info.type is CollectionType.CALIBRATION:
            _certify(source, target, info, known)
    names = {info.name for info in ordered}
    for info in ordered:
        if info.type is CollectionType.CHAINED:
            _join_chain(target, info, names)
    return [info.name for info in ordered]


def _copy(
    source: Repository, target: Repository, refs: Sequence[DatasetRef], infos: Sequence[CollectionInfo],
    mode: str, everything: bool,
) -> CopyReport:  # fmt: skip
    with target.writing() as butler:
        copy_cameras(source.cameras_folder, target, cameras_of(refs))
        before = {ref.id for ref in target.butler.get_many_datasets([ref.id for ref in refs])}
        stored = source.butler._datastore.knows_these(refs)
        copy_registry(source.butler, butler, refs, everything=everything, transfer=mode)
        names = copy_collections(source.butler, butler, infos, refs)
    target.butler.registry.refresh()
    return CopyReport(len(refs), len(refs) - len(before), sum(not there for there in stored.values()), tuple(names))


def cameras_of(refs: Iterable[DatasetRef]) -> set[str]:
    """Return the names of the instruments of datasets."""
    return {str(ref.dataId["instrument"]) for ref in refs if "instrument" in ref.dataId}


def copy_cameras(source: Path, target: Repository, names: Collection[str] | None = None) -> None:
    """Copy the descriptions of cameras, and what people say instead of headers.

    Parameters
    ----------
    source : Path
        Folder of descriptions.
    target : Repository
        To.
    names : collection of str, optional
        Only these cameras.

    Raises
    ------
    InputError
        The target has a different camera of the same name.
    """
    for path in sorted(source.glob("*")) if source.is_dir() else ():
        if names is not None and path.name.partition(".")[0] not in names:
            continue
        place, content = target.cameras_folder / path.name, path.read_bytes()
        if place.is_file() and place.read_bytes() == content:
            continue
        if place.is_file() and path.suffix == ".yaml":
            raise InputError("a different camera of this name is registered", source=target.path, value=path.stem,
                             remedy="register it with --update in one of the two")  # fmt: skip
        place.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(place, "camera-copy") as part:
            part.write_bytes(content)
    target.share_cameras()


def wanted_datasets(
    source: Repository, collections: Sequence[str] | None, types: Sequence[str], where: str
) -> list[DatasetRef]:
    """Return the datasets that somebody asks for, shadowed ones too.

    Parameters
    ----------
    source : Repository
        Where they are.
    collections : sequence of str, optional
        Names or patterns; everything by default.
    types : sequence of str
        Dataset types; all by default.
    where : str
        Data ID expression.
    """
    try:
        refs = all_datasets(source.butler, collections, where=where, records=True)
    except Exception as error:  # expression errors have no common base
        raise InputError(f"cannot query: {error}", source=source.path, value=where or None) from error
    return [ref for ref in refs if not types or ref.datasetType.name in types]


def asked_collections(
    butler: Butler, refs: Sequence[DatasetRef], named: Sequence[str] | None
) -> Sequence[CollectionInfo]:
    """Return the collections asked for with all members, and the runs of the datasets.

    Parameters
    ----------
    butler : Butler
        Where they are.
    refs : sequence of DatasetRef
        The datasets.
    named : sequence of str, optional
        Names or patterns; every collection by default.
    """
    runs = {str(ref.run) for ref in refs}
    if named is None:
        return butler.collections.query_info("*", include_doc=True)
    asked = butler.collections.query_info(list(named), flatten_chains=True, include_chains=True, include_doc=True)
    more = butler.collections.query_info(sorted(runs - {info.name for info in asked}), include_doc=True) if runs else ()
    return [*asked, *more]


def _copy_records(source: Butler, target: Butler) -> None:
    universe = source.dimensions
    for element in universe.sorted(universe.elements):
        if element.has_own_table:
            records = source.query_dimension_records(element.name, explain=False, limit=None)
            if records:
                target.registry.insertDimensionData(element, *records, skip_existing=True)


def _tag(source: Butler, target: Butler, info: CollectionInfo, known: dict[Any, DatasetRef]) -> None:
    for name in _types_of(source, info):
        refs = source.query_datasets(name, collections=info.name, find_first=False, explain=False, limit=None)
        target.registry.associate(info.name, [known[ref.id] for ref in refs if ref.id in known])


def _certify(source: Butler, target: Butler, info: CollectionInfo, known: dict[Any, DatasetRef]) -> None:
    """Give calibrations the validity that they have in the source; those that have it already are passed over."""
    for name in _types_of(source, info):
        there = {
            (found.ref.id, found.timespan)
            for found in target.registry.queryDatasetAssociations(name, info.name, collectionTypes={info.type})
        }
        spans: dict[Timespan, list[DatasetRef]] = defaultdict(list)
        for found in source.registry.queryDatasetAssociations(name, info.name, collectionTypes={info.type}):
            if found.ref.id in known and (found.ref.id, found.timespan) not in there and found.timespan is not None:
                spans[found.timespan].append(known[found.ref.id])
        for timespan, refs in spans.items():
            target.registry.certify(info.name, refs, timespan)


def _types_of(source: Butler, info: CollectionInfo) -> list[str]:
    [whole] = source.collections.query_info(info.name, include_summary=True)
    return sorted(whole.dataset_types or ())


def _join_chain(target: Butler, info: CollectionInfo, copied: Collection[str]) -> None:
    """Make a chain of its copied members; where the target has it already, its own members stay behind them.

    A chain that means one of several versions stays as the target chose it.
    """
    present = target.collections.get_info(info.name).children
    if present and _OF_ONE_VERSION.fullmatch(info.name):
        return
    members = [child for child in info.children if child in copied]
    wanted = [*members, *(child for child in present if child not in members)]
    if list(present) != wanted:
        target.collections.redefine_chain(info.name, wanted)
