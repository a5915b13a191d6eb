"""Content hashes of stored products: what "the same products" means."""

import hashlib
from collections.abc import Sequence

from lsst.daf.butler import CollectionType, DatasetRef

from etendue.middleware.repository import Repository

RECORDS = ("_metadata", "_log", "_config")
"""Endings of dataset types that say how products were made, and are none."""


def content_hashes(
    repository: Repository, collection: str, dataset_types: Sequence[str] | None = None
) -> dict[str, str]:
    """Return the content hash of every product in a collection.

    Parameters
    ----------
    repository : Repository
        Where they are.
    collection : str
        RUN or chain; of a chain only the first dataset per data ID counts.
    dataset_types : sequence of str, optional
        All products by default; logs, metadata, configs and package lists are no products.

    Returns
    -------
    dict[str, str]
        From ``"type {data ID}"`` to the hash, sorted; calibrations of a chain that are found by date only are left
        out, for no date is asked. Objects say their own hash (pixels, tables, WCS, PSF; never IDs, dates or timings);
        for anything else it is the hash of the file.
    """
    members = [
        info for info in repository.butler.collections.query_info(collection, flatten_chains=True, include_summary=True)
        if info.type is not CollectionType.CALIBRATION
    ]  # fmt: skip
    if dataset_types is None:
        names = {name for info in members for name in (info.dataset_types or ())}
        dataset_types = sorted(n for n in names if n != "packages" and not n.endswith(RECORDS))
    searched = [info.name for info in members]
    refs = [ref for name in dataset_types for ref in repository.query(name, collections=searched)] if searched else []
    return {f"{ref.datasetType.name} {_key(ref)}": content_hash(repository, ref) for ref in refs}


def content_hash(repository: Repository, ref: DatasetRef) -> str:
    """Return the content hash of one dataset.

    Parameters
    ----------
    repository : Repository
        Where it is.
    ref : DatasetRef
        Which one.

    Returns
    -------
    str
        Hexadecimal.
    """
    if not issubclass(ref.datasetType.storageClass.pytype, str | bytes):
        value = repository.get(ref)
        if hasattr(value, "content_hash"):
            return str(value.content_hash())
    return hashlib.sha256(repository.butler.getURI(ref).read()).hexdigest()


def _key(ref: DatasetRef) -> str:
    return ", ".join(f"{name}={value}" for name, value in ref.dataId.required.items())
