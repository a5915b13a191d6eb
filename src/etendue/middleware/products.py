"""Collect the products of several outputs in one collection, and delete those that nobody needs."""

from collections.abc import Sequence

from lsst.daf.butler import CollectionType

from etendue.middleware.changes import own_collections
from etendue.middleware.repository import Repository


def join_outputs(home: Repository, name: str, outputs: Sequence[str]) -> None:
    """Make a collection that searches several outputs in order.

    Parameters
    ----------
    home : Repository
        Writeable.
    name : str
        CHAINED collection, made or changed.
    outputs : sequence of str
        Chains of runs; those that do not exist yet are left out.
    """
    with home.writing() as butler:
        butler.collections.register(name, CollectionType.CHAINED)
        butler.collections.redefine_chain(name, [output for output in outputs if home.has_collection(output)])


def delete_products(home: Repository, output: str, dataset_types: Sequence[str]) -> int:
    """Delete products of some types for good.

    Parameters
    ----------
    home : Repository
        Writeable.
    output : str
        Chain of runs; only what these runs made themselves is deleted.
    dataset_types : sequence of str
        Types.

    Returns
    -------
    int
        Datasets deleted.
    """
    runs = own_collections(home, output)
    refs = [ref for name in dataset_types if runs for ref in home.query(name, collections=runs, find_first=False)]
    if refs:
        with home.writing() as butler:
            butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
    return len(refs)
