"""Give collections other names, which stock Butler code cannot do.

Rows of one table are changed in one transaction; datasets, chains and files refer to a collection by its number. Tried
on SQLite and PostgreSQL; databases whose collections have no number are refused.
"""

from collections.abc import Mapping

from lsst.daf.butler import Butler
from lsst.daf.butler.registry.collections.synthIntKey import SynthIntKeyCollectionManager

from etendue.errors import InputError


def rename_collections(butler: Butler, names: Mapping[str, str]) -> None:
    """Rename collections, all or none.

    Parameters
    ----------
    butler : Butler
        Writeable; others of the same repository need a ``registry.refresh()``.
    names : mapping of str to str
        New names by old, in the order in which they become free.

    Raises
    ------
    InputError
        The database keeps collections in another way.
    """
    manager = butler._registry._managers.collections
    if not isinstance(manager, SynthIntKeyCollectionManager):
        raise InputError(
            "this database cannot rename collections", value=list(names), remedy="transfer it to a new repository"
        )
    with butler.transaction():
        for old, new in names.items():
            butler._registry._db.update(manager._tables.collection, {"name": "old"}, {"old": old, "name": new})
    butler.registry.refresh()
