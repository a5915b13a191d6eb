"""Collections of a replica: chains, tags and validity ranges as at the source, of what the replica has."""

from collections.abc import Iterable, Mapping
from typing import Any

from lsst.daf.butler import Butler, CollectionInfo, CollectionType, DatasetAssociation, DatasetRef, Timespan

from etendue.middleware.repository import Repository

_OF_DATASETS = {CollectionType.TAGGED, CollectionType.CALIBRATION}
Span = tuple[Any, Timespan | None]


def make_collections_alike(source: Repository, sink: Repository) -> None:
    """Make the collections of a replica like those of the source; doing it again changes nothing.

    A collection of which the replica has nothing is not made. What the replica has of its own in a collection of the
    same name (datasets, members of chains that the source does not know) stays.

    Parameters
    ----------
    source : Repository
        Where the collections are as they should be.
    sink : Repository
        Writeable.

    Raises
    ------
    lsst.daf.butler.registry.ConflictingDefinitionError
        A calibration of the replica's own is valid at the time of one of the source; all else was done.
    lsst.daf.butler.registry.CollectionTypeError
        The replica has a collection of another kind under the same name; all else but what depends on it was done.
    """
    here = {info.name: info for info in source.butler.collections.query_info("*", include_summary=True)}
    there = {info.name for info in sink.butler.collections.query_info("*")}
    trouble: Exception | None = None
    with sink.writing() as writer:
        for info in here.values():
            if info.type in _OF_DATASETS:
                try:
                    _make_datasets_alike(source.butler, writer, info, there)
                except Exception as error:  # one collection must not hold up the others
                    trouble = error
        chains = {name: info.children for name, info in here.items() if info.type is CollectionType.CHAINED}
        for name in chains:
            try:
                _make_chain_alike(writer, name, chains, there, set(here))
            except Exception as error:
                trouble = error
    if trouble is not None:
        raise trouble


def _make_chain_alike(
    writer: Butler, name: str, chains: Mapping[str, tuple[str, ...]], there: set[str], here: set[str]
) -> None:
    """Define a chain, its members that are chains first; members that are not there are left out."""
    for child in chains[name]:
        if child in chains:
            _make_chain_alike(writer, child, chains, there, here)
    members = [child for child in chains[name] if child in there]
    if not members:
        return
    writer.collections.register(name, CollectionType.CHAINED)
    there.add(name)
    present = writer.collections.get_info(name).children
    wanted = [*members, *(child for child in present if child not in here)]
    if list(present) != wanted:
        writer.collections.redefine_chain(name, wanted)


def _make_datasets_alike(source: Butler, writer: Butler, info: CollectionInfo, there: set[str]) -> None:
    """Make a collection hold the same datasets, valid at the same times."""
    for dataset_type in sorted(info.dataset_types or ()):
        wanted = _associations(source, dataset_type, info)
        known = {ref.id: ref for ref in writer.get_many_datasets({entry.ref.id for entry in wanted})}
        right = _spans(entry for entry in wanted if entry.ref.id in known)
        if not right and info.name not in there:
            continue
        writer.collections.register(info.name, info.type)
        there.add(info.name)
        present = _associations(writer, dataset_type, info)
        from_here = {ref.id for ref in source.get_many_datasets({entry.ref.id for entry in present})}
        stale = [e for e in present if (e.ref.id, e.timespan) not in right and e.ref.id in from_here]
        lacking = right - _spans(present)
        with writer.transaction():
            _take_away(writer, info, dataset_type, stale)
            _add(writer, info, lacking, known)


def _associations(butler: Butler, dataset_type: str, info: CollectionInfo) -> list[DatasetAssociation]:
    return list(butler.registry.queryDatasetAssociations(dataset_type, info.name, collectionTypes={info.type}))


def _take_away(writer: Butler, info: CollectionInfo, dataset_type: str, stale: list[DatasetAssociation]) -> None:
    if info.type is CollectionType.TAGGED:
        writer.registry.disassociate(info.name, [entry.ref for entry in stale])
        return
    for entry in stale:  # at its time nothing else is valid for its data ID
        span = entry.timespan or Timespan(None, None)
        writer.registry.decertify(info.name, dataset_type, span, dataIds=[entry.ref.dataId])


def _add(writer: Butler, info: CollectionInfo, lacking: set[Span], known: Mapping[Any, DatasetRef]) -> None:
    if info.type is CollectionType.TAGGED:
        writer.registry.associate(info.name, [known[key] for key, _ in lacking])
        return
    by_span: dict[Timespan, list[DatasetRef]] = {}
    for key, span in lacking:
        by_span.setdefault(span or Timespan(None, None), []).append(known[key])
    for span, refs in by_span.items():
        writer.registry.certify(info.name, refs, span)


def _spans(entries: Iterable[DatasetAssociation]) -> set[Span]:
    return {(entry.ref.id, entry.timespan) for entry in entries}
