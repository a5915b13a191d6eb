"""Identifiers that say where their rows come from.

Source ids hold 15 bits of day (since 2000-01-01), 17 of sequence number, 9 of detector and 22 of a
counter from 1. Object ids hold 40 bits of HEALPix pixel (order 18, nested), 13 of tract and patch
and 10 of a counter, so an object id is also an address. 0 is nobody's id.
"""

import datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.geom.healpix import pixel_of

OBJECT_ORDER = 18
MAX_SEQ = 100_000
_EPOCH = datetime.date(2000, 1, 1)
_DAY_BITS, _SEQ_BITS, _DETECTOR_BITS, _COUNTER_BITS = 15, 17, 9, 22
_REGION_BITS, _PIXEL_COUNTER_BITS = 13, 10


def visit_id(day_obs: int, seq: int) -> int:
    """Return the visit id, ``day_obs * 100000 + seq``.

    Parameters
    ----------
    day_obs : int
        Observing day, YYYYMMDD, 2000 to 2089.
    seq : int
        Number within the day, 0 to 99999.

    Returns
    -------
    int

    Raises
    ------
    InputError
        If either is out of range.
    """
    _days_since_epoch(day_obs)
    if not 0 <= seq < MAX_SEQ:
        raise InputError(f"sequence number is not 0 to {MAX_SEQ - 1}", value=seq)
    return int(day_obs) * MAX_SEQ + int(seq)


def source_ids(visit: int, detector: int, n: int) -> NDArray[np.int64]:
    """Return ids for the sources of one detector of one visit.

    Parameters
    ----------
    visit : int
        Visit id.
    detector : int
        Detector id, 0 to 511.
    n : int
        Number of sources, fewer than 4194304.

    Returns
    -------
    ndarray, int64, shape (n,)
        Ascending, positive.

    Raises
    ------
    InputError
        If a number does not fit its bits.
    """
    day_obs, seq = divmod(int(visit), MAX_SEQ)
    if not 0 <= detector < 1 << _DETECTOR_BITS:
        raise InputError(f"detector is not 0 to {(1 << _DETECTOR_BITS) - 1}", value=detector)
    if not 0 <= n < 1 << _COUNTER_BITS:
        raise InputError(f"more sources than ids for one detector ({(1 << _COUNTER_BITS) - 1})", value=n)
    prefix = ((_days_since_epoch(day_obs) << _SEQ_BITS | seq) << _DETECTOR_BITS | int(detector)) << _COUNTER_BITS
    return prefix + np.arange(1, n + 1, dtype=np.int64)


def unpack_source_ids(ids: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Take source ids apart.

    Parameters
    ----------
    ids : array_like, int64, shape (n,)
        From `source_ids`.

    Returns
    -------
    visit, detector, counter : ndarray, int64, shape (n,)
    """
    ids = np.asarray(ids, dtype=np.int64)
    counter = ids & ((1 << _COUNTER_BITS) - 1)
    detector = (ids >> _COUNTER_BITS) & ((1 << _DETECTOR_BITS) - 1)
    seq = (ids >> (_COUNTER_BITS + _DETECTOR_BITS)) & ((1 << _SEQ_BITS) - 1)
    date = np.datetime64(_EPOCH) + (ids >> (_COUNTER_BITS + _DETECTOR_BITS + _SEQ_BITS))
    months = date.astype("datetime64[M]")
    year, month = months.astype(np.int64) // 12 + 1970, months.astype(np.int64) % 12 + 1
    day = (date - months.astype("datetime64[D]")).astype(np.int64) + 1
    return ((year * 100 + month) * 100 + day) * MAX_SEQ + seq, detector, counter


def object_ids(ra_deg: ArrayLike, dec_deg: ArrayLike, tract: int, patch: int) -> NDArray[np.int64]:
    """Return ids for the objects of one patch.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (n,)
        Positions [deg].
    tract, patch : int
        Where the objects were made; they keep ids of overlapping patches apart.

    Returns
    -------
    ndarray, int64, shape (n,)
        Positive, distinct; rows of one HEALPix pixel are counted in their order.

    Raises
    ------
    InputError
        If a position is not on the sky, or one pixel holds more than 1023 objects.
    """
    pixel = np.atleast_1d(pixel_of(OBJECT_ORDER, ra_deg, dec_deg))
    order = np.argsort(pixel, kind="stable")
    ranks = np.arange(pixel.size) - np.searchsorted(pixel[order], pixel[order])
    counter = np.empty(pixel.size, dtype=np.int64)
    counter[order] = ranks + 1
    if counter.max(initial=0) >= 1 << _PIXEL_COUNTER_BITS:
        raise InputError("too many objects within one arcsecond", value=int(counter.max()))
    # Patches of one tract and of neighbouring tracts get different numbers.
    region = (int(tract) * 1031 + int(patch)) % (1 << _REGION_BITS)
    return (pixel << _REGION_BITS | region) << _PIXEL_COUNTER_BITS | counter


def id_to_healpix(ids: ArrayLike, order: int = OBJECT_ORDER) -> NDArray[np.int64]:
    """Return the nested HEALPix pixels inside object ids.

    Parameters
    ----------
    ids : array_like, int64, shape (n,)
        From `object_ids`.
    order : int
        0 to 18.

    Returns
    -------
    ndarray, int64, shape (n,)

    Raises
    ------
    InputError
        If the order is finer than the ids are.
    """
    if not 0 <= order <= OBJECT_ORDER:
        raise InputError(f"object ids know their pixel to order {OBJECT_ORDER}", value=order)
    return np.asarray(ids, dtype=np.int64) >> (_REGION_BITS + _PIXEL_COUNTER_BITS + 2 * (OBJECT_ORDER - order))


def _days_since_epoch(day_obs: int) -> int:
    try:
        date = datetime.date(int(day_obs) // 10000, int(day_obs) // 100 % 100, int(day_obs) % 100)
    except ValueError:
        raise InputError("observing day is not a date YYYYMMDD", value=day_obs) from None
    days = (date - _EPOCH).days
    if not 0 <= days < 1 << _DAY_BITS:
        raise InputError("observing day is not within 2000 to 2089", value=day_obs)
    return days
