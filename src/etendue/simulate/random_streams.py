"""Random numbers that depend on what they are for, not on when they are drawn."""

from zlib import crc32

import numpy as np


def stream(seed: int, name: str, *keys: int) -> np.random.Generator:
    """Return the generator of one purpose, so that any frame can be made alone and by any process.

    Parameters
    ----------
    seed : int
        Seed of the survey, not negative.
    name : str
        Purpose, such as ``"cosmic rays"``; other names give independent numbers.
    *keys : int
        Data ID, such as visit and detector, not negative.

    Returns
    -------
    numpy.random.Generator
        Equal arguments give equal numbers.
    """
    return np.random.default_rng([seed, crc32(name.encode()), *keys])
