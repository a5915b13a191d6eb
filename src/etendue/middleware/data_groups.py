"""Divide the data of a run into groups that run one after the other."""

from collections.abc import Sequence

from etendue.errors import InputError
from etendue.middleware.repository import Repository


def data_groups(home: Repository, dimension: str, size: int, *, inputs: Sequence[str], where: str = "") -> list[str]:
    """Return data ID expressions that divide the values of a dimension.

    Parameters
    ----------
    home : Repository
        With the data.
    dimension : str
        ``visit``, ``tract``, ``day_obs``...
    size : int
        Values in one group.
    inputs : sequence of str
        Collections that tell which camera and skymap are meant.
    where : str
        Data ID expression that all data fulfil.

    Returns
    -------
    list of str
        In the order of values; empty where there are none.

    Raises
    ------
    InputError
        If there is no such dimension, or the expression is wrong.
    """
    known = home.butler.dimensions.dimensions.names
    if dimension not in known:
        raise InputError("no such dimension to split by", value=dimension, remedy=f"use one of {', '.join(known)}")
    butler = home.butler.clone(collections=list(inputs))
    try:
        found = butler.query_data_ids([dimension], where=where, explain=False, limit=None)
    except Exception as error:  # expression errors have no common base
        raise InputError(f"cannot split by {dimension}: {error}", source=home.path, value=where or None) from error
    values = sorted({data_id[dimension] for data_id in found})
    groups = [values[start : start + size] for start in range(0, len(values), size)]
    return [f"{dimension} IN ({', '.join(map(repr, group))})" for group in groups]
