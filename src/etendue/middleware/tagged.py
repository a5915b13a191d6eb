"""Collections of datasets that runs made, and nothing else of those runs."""

import hashlib
from collections.abc import Sequence

from lsst.daf.butler import CollectionType, DatasetRef

from etendue.middleware.repository import Repository


def tagged(repository: Repository, folder: str, refs: Sequence[DatasetRef]) -> str:
    """Put datasets into a collection of their own; the same datasets give the same collection.

    Parameters
    ----------
    repository : Repository
        Writeable, unless the collection exists.
    folder : str
        First part of the collection's name.
    refs : sequence of DatasetRef
        At least one, and no two of the same type and data ID.

    Returns
    -------
    str
        Name of the TAGGED collection: the folder and a hash.
    """
    digest = hashlib.blake2b("".join(sorted(str(ref.id) for ref in refs)).encode(), digest_size=8).hexdigest()
    name = f"{folder}/{digest}"
    if not repository.has_collection(name):
        with repository.writing() as butler, butler.transaction():
            butler.collections.register(name, CollectionType.TAGGED)
            butler.registry.associate(name, refs)
    return name
