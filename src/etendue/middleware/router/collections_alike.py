"""Collections of a replica: chains, tags and validity ranges as at the source, of what the replica has."""

from collections.abc import Iterable

from lsst.daf.butler import Butler, CollectionType, DatasetAssociation, DatasetRef, Timespan

from etendue.log import get_logger
from etendue.middleware.repository import Repository

_LOG = get_logger(__name__)
_OF_DATASETS = {CollectionType.TAGGED, CollectionType.CALIBRATION}


def make_collections_alike(source: Repository, sink: Repository) -> None:
    """Make the collections of a replica like those of the source; doing it again changes nothing.

    A collection of the source of which the replica has nothing is not made; one that the source does not have, or has
    as another kind, is left alone.

    Parameters
    ----------
    source : Repository
        Where the collections are as they should be.
    sink : Repository
        Writeable.
    """
    here = {info.name: info for info in source.butler.collections.query_info("*", include_summary=True)}
    there = {info.name: info.type for info in sink.butler.collections.query_info("*")}
    with sink.writing() as writer:
        for name, info in here.items():
            if info.type in _OF_DATASETS and there.get(name, info.type) is info.type:
                for dataset_type in sorted(info.dataset_types or ()):
                    if _make_datasets_alike(source.butler, writer, name, info.type, dataset_type):
                        there[name] = info.type
        chains = {name: info.children for name, info in here.items() if info.type is CollectionType.CHAINED}
        for name in chains:
            _make_chain_alike(writer, name, chains, there)


def _make_chain_alike(
    writer: Butler, name: str, chains: dict[str, tuple[str, ...]], there: dict[str, CollectionType]
) -> None:
    """Define a chain, its members that are chains first; members that are not there are left out."""
    if there.get(name, CollectionType.CHAINED) is not CollectionType.CHAINED:
        _LOG.warning("collection %s is no chain at the sink: it is left alone", name)
        return
    for child in chains[name]:
        if child in chains:
            _make_chain_alike(writer, child, chains, there)
    members = tuple(child for child in chains[name] if child in there)
    if not members:
        return
    if name not in there:
        writer.collections.register(name, CollectionType.CHAINED)
        there[name] = CollectionType.CHAINED
    if writer.collections.get_info(name).children != members:
        writer.collections.redefine_chain(name, members)


def _make_datasets_alike(source: Butler, writer: Butler, name: str, kind: CollectionType, dataset_type: str) -> bool:
    """Make one collection hold the same datasets of one type, valid at the same times; return whether any are there."""
    wanted = list(source.registry.queryDatasetAssociations(dataset_type, name, collectionTypes={kind}))
    known = {ref.id: ref for ref in writer.get_many_datasets({entry.ref.id for entry in wanted})}
    if not known:
        return False
    writer.collections.register(name, kind)
    right = _spans(entry for entry in wanted if entry.ref.id in known)
    present = list(writer.registry.queryDatasetAssociations(dataset_type, name, collectionTypes={kind}))
    if right == _spans(present):
        return True
    with writer.transaction():
        if kind is CollectionType.TAGGED:
            writer.registry.disassociate(name, [entry.ref for entry in present])
            writer.registry.associate(name, list(known.values()))
            return True
        if present:  # Rubin's decertify fails on a collection that holds none of the type
            writer.registry.decertify(name, dataset_type, Timespan(None, None))
        for span, refs in _by_span(right, known).items():
            writer.registry.certify(name, refs, span)
    return True


def _spans(entries: Iterable[DatasetAssociation]) -> set[tuple[object, Timespan | None]]:
    return {(entry.ref.id, entry.timespan) for entry in entries}


def _by_span(
    right: set[tuple[object, Timespan | None]], known: dict[object, DatasetRef]
) -> dict[Timespan, list[DatasetRef]]:
    found: dict[Timespan, list[DatasetRef]] = {}
    for key, span in right:
        found.setdefault(span or Timespan(None, None), []).append(known[key])
    return found
