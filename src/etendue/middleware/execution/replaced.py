"""Delete what earlier runs of an output made and later ones replaced."""

from collections.abc import Sequence

from lsst.daf.butler import CollectionType, DatasetRef

from etendue.log import get_logger
from etendue.middleware.changes import own_collections, visible_datasets
from etendue.middleware.repository import Repository

_LOG = get_logger(__name__)
_BATCH = 1000


def remove_replaced(repository: Repository, output: str) -> int:
    """Delete the datasets of the runs of an output that nobody finds through it any more.

    Calibrations that are certified stay: frames of other nights may need them.

    Parameters
    ----------
    repository : Repository
        Writeable; nobody else runs into the output.
    output : str
        Chain of the runs.

    Returns
    -------
    int
        Number of datasets deleted.
    """
    repository.butler.registry.refresh()
    runs = [info.name for info in repository.butler.collections.query_info(f"{output}/*")
            if info.type is CollectionType.RUN]  # fmt: skip
    seen = {ref.id for ref in visible_datasets(repository, own_collections(repository, output))}
    held = _certified(repository)
    replaced = [ref for ref in _all_datasets(repository, runs) if ref.id not in seen]
    doomed = [ref for ref in replaced if ref.id not in held]
    if len(doomed) < len(replaced):
        _LOG.info("%s: kept %d replaced datasets that are certified", output, len(replaced) - len(doomed))
    with repository.writing() as butler:
        for i in range(0, len(doomed), _BATCH):
            butler.pruneDatasets(doomed[i : i + _BATCH], disassociate=True, unstore=True, purge=True)
    return len(doomed)


def _certified(repository: Repository) -> set[object]:
    butler = repository.butler
    infos = butler.collections.query_info("*", include_summary=True)
    return {
        association.ref.id
        for info in infos
        if info.type is CollectionType.CALIBRATION
        for name in info.dataset_types or ()
        for association in butler.registry.queryDatasetAssociations(name, info.name)
    }


def _all_datasets(repository: Repository, runs: Sequence[str]) -> list[DatasetRef]:
    butler = repository.butler
    infos = butler.collections.query_info(list(runs), include_summary=True) if runs else ()
    return [
        ref
        for info in infos
        for name in sorted(info.dataset_types or ())
        for ref in butler.query_datasets(name, collections=info.name, find_first=False, explain=False, limit=None)
    ]
