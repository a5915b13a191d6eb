"""Data IDs as people read and write them."""

from collections.abc import Mapping, Sequence

from etendue.errors import InputError

_UNTOLD = {"instrument", "skymap", "day_obs", "group"}  # the same for nearly everything, or implied


def data_id_text(data_id: Mapping[str, int | str]) -> str:
    """Return a data ID in words: ``visit 12, detector 3``.

    Parameters
    ----------
    data_id : mapping
        Dimension to value.

    Returns
    -------
    str
        Without what is the same for nearly everything, unless nothing else is there.
    """
    untold = _UNTOLD | ({"physical_filter", "band"} if {"visit", "exposure"} & data_id.keys() else set())
    told = {key: value for key, value in data_id.items() if key not in untold} or data_id
    return ", ".join(f"{key} {value}" for key, value in told.items())


def parse_data_id(words: Sequence[str]) -> dict[str, str]:
    """Return what ``visit=12 detector=3`` says.

    Parameters
    ----------
    words : sequence of str
        One ``key=value`` each, or several joined by commas.

    Returns
    -------
    dict of str to str

    Raises
    ------
    InputError
        A word is no ``key=value``.
    """
    pairs = [pair for word in words for pair in word.split(",") if pair]
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise InputError("no part of a data ID", value=pair, remedy="write for instance visit=12 detector=3")
        found[key.strip()] = value.strip()
    return found
